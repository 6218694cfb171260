"""Lines of the record as they lie in the ledger: some at a time, compressed, beside their hashes. Pure.

Neighbouring lines say nearly the same, and the hash of the line before, which each names, is there already.
A line of 870 bytes takes about 90, one that is committed alone about 270. They come back byte for byte.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from artifactd.ledger.record import START, Entry
from artifactd.ledger.rows import Altered

LINES: Final = 64
"""The most in one block: twice as many are hardly smaller, and a reader unpacks a block whole."""

HASH_BYTES: Final = 32

_PREVIOUS: Final = b"\0"
"""Stands for the hash of the line before. No canonical line holds it, nor a line feed."""

_LEVEL: Final = 6
_RAW: Final = -13  # a window of 8 KiB, and no checksum of zlib's own: each line has its hash
_MEMORY: Final = 7  # what is quickest for so little

_DICTIONARY: Final = (
    b'"retry_at":"2026-","replaces":"","principal":"uid 0"artifact.unchanged"artifact.failed"artifact.'
    b'postponed"artifact.refused","outcome":"failure"artifact.skipped","attempt":1"outcome":"skipped"artifact.'
    b'gone"artifact.replayed"artifact.lost"artifact.confirmed"copies.verified"{"action":"audit.anchored",'
    b'"anchored_hash":"","anchored_seq":"_artifactd/anchors/config.reloaded"config.refused"'
    b'asked_config_digest":"ledger.rebuilt"ledger.created"set_aside":"python_pipeline"train_predictions"'
    b'val_predictions"test_predictions"predictions"transformed"autodoc"experiment"working"other"by hand"'
    b'mtime_ns":null"sha256":null"size":null'
    b'{"action":"artifact.exported","attempt":1,"config_digest":"","evidence":"closed+no_writer",'
    b'"experiment_id":"","host":"","key":"/","kind":"mojo_pipeline","mtime_ns":17,"outcome":"success",'
    b'"previous":"\x00","proof":"read_back","reason":"","rule":"everything","schema":1,"seconds":2.,"seq":1,'
    b'"service_account":"artifactd","sha256":"","size":,"source":"/h2oai_experiment_/h2oai_experiment_logs_'
    b'/h2oai_experiment_summary_.zip","store":"file_system","store_version":"","time":"2026-",'
    b'"uri":"file:///https://s3://","user":"","version":"0.1.0","written":false}\n'
    b'{"action":"artifact.started","attempt":1,"config_digest":"","evidence":"closed+no_writer",'
    b'"experiment_id":"","host":"","key":"/","kind":"summary","mtime_ns":17,"outcome":"pending",'
    b'"previous":"\x00","proof":"server_checksum","reason":"","rule":"","schema":1,"seconds":2.,"seq":1,'
    b'"service_account":"artifactd","sha256":"","size":,"source":"/h2oai_experiment_","store":"s3",'
    b'"store_version":"","time":"2026-01-01T1:00:00.000Z","uri":"","user":"","version":"0.1.0","written":true}\n'
)
"""What a line is likely to say. Once released it is never changed: the lines on disk are unpacked with it."""

Block = tuple[int, bytes, bytes]
"""The number of its first entry, its lines, and their hashes of 32 bytes each."""


def packed(entries: Sequence[Entry], previous: str) -> Iterator[Block]:
    """These entries, which follow each other; `previous` is the hash of the one before them.

    Raises:
        Altered: a line can be none, because it holds a NUL or a line feed.
    """
    for start in range(0, len(entries), LINES):
        some = entries[start : start + LINES]
        lines = []
        for entry in some:
            line = entry.line.encode("utf-8", "surrogateescape")
            if b"\n" in line or _PREVIOUS in line:
                raise Altered(f"entry {entry.seq} is not the one that was written")
            lines.append(line.replace(previous.encode(), _PREVIOUS))
            previous = entry.hash
        deflate = zlib.compressobj(_LEVEL, wbits=_RAW, memLevel=_MEMORY, zdict=_DICTIONARY)
        content = deflate.compress(b"\n".join(lines)) + deflate.flush()
        yield some[0].seq, content, bytes.fromhex("".join(entry.hash for entry in some))


def unpacked(block: Block, previous: str = START) -> Iterator[Entry]:
    """The entries of a block, whatever has become of its bytes; `previous` is the hash of the one before it.

    Where nobody can tell any more which line is which, all of them are empty, and so not what was hashed.
    """
    first, content, hashes = block
    lines, count = _inflated(content).split(b"\n"), len(hashes) // HASH_BYTES
    if len(lines) != count:
        lines = [b""] * count
    for number, line in enumerate(lines):
        digest = hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES].hex()
        whole = line.replace(_PREVIOUS, previous.encode())
        yield Entry(first + number, whole.decode("utf-8", "surrogateescape"), digest)
        previous = digest


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=_RAW, zdict=_DICTIONARY).decompress(content)
    except zlib.error:
        return b""
