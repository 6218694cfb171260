"""What is believed of an answer, whatever is in it and however it is cut into pieces."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.stores.http.incoming import Incoming
from artifactd.stores.http.messages import ANSWER_BYTES, HEAD_BYTES

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def answer(pieces: Sequence[bytes], most: int = ANSWER_BYTES) -> tuple[int, dict[str, str], bytes]:
    incoming = Incoming(most)
    for piece in (*filter(None, pieces), b""):
        if (whole := incoming.feed(piece)) is not None:
            return whole.status, dict(whole.headers), whole.body
    raise AssertionError("the end is an answer or an error")


@pytest.mark.parametrize(
    "said",
    [
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +4\r\n\r\nsaid",
        OK + b"Content-Length: 4_0\r\n\r\nsaid",
        OK + b"Content-Length: 0x4\r\n\r\nsaid",
        OK + b"Content-Length: \xb2\r\n\r\nsaid",
        OK + b"Content-Length: \r\n\r\n",
        OK + b"Content-Length: 4, 4\r\n\r\nsaid",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nsaid!",
        OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsaid\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n4\r\nsaid\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: xchunked\r\n\r\n4\r\nsaid\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n4\r\nsaid\r\n0\r\n\r\n",
        *(
            CHUNKED + size + b"\r\nsaid\r\n0\r\n\r\n"
            for size in (b"-4", b"+4", b"0x4", b"4_0", b" 4", b"", b";a=b", b"\xb2", b"4\x00", b"f" * 5000)
        ),
        CHUNKED + b"4\r\nsaid..0\r\n\r\n",
        CHUNKED + b"fffffffffff\r\n",
        CHUNKED + b"0\r\nno trailer\r\n\r\n",
        CHUNKED + b"0\r\n" + b"x: y\r\n" * 101 + b"\r\n",
        CHUNKED + b"0\r\n" + (b"x: " + b"y" * 1000 + b"\r\n") * 70 + b"\r\n",
        CHUNKED + b"0" * 2000 + b"\r\n\r\n",
        OK + b"x: y\r\n" * 101 + b"\r\n",
        OK + b"x: " + b"y" * HEAD_BYTES + b"\r\n\r\n",
        OK + b"no header\r\n\r\n",
        OK + b"x : y\r\n\r\n",
        OK + b"x: y\r\n folded\r\n\r\n",
        OK + b"x: y\nContent-Length: 0\r\n\r\n",
        OK + b"x: \x00\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + OK + b"\r\n",
    ],
    ids=lambda said: repr(said[-60:])[:60],
)
def test_what_is_no_answer_is_refused(said: bytes) -> None:
    with pytest.raises(ValueError, match=r"^its? "):
        answer([said])


@pytest.mark.parametrize(
    "said",
    [
        OK + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nsaid",
        OK + b"TRANSFER-ENCODING:Chunked \r\n\r\n04 ;a=b\r\nsaid\r\n0\r\na: b\r\nc: d\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 16 + OK + b"Content-Length: 4\r\n\r\nsaid",
        OK + b"x: y\r\n" * 99 + b"Content-Length: 4\r\n\r\nsaid",
        OK + b"x:\r\nContent-Length: 4\r\n\r\nsaid",
    ],
)
def test_what_http_allows_is_understood(said: bytes) -> None:
    status, _, body = answer([said])
    assert (status, body) == (200, b"said")


@pytest.mark.parametrize(
    "said",
    [
        OK + b"Content-Length: 11\r\n\r\n12345678901",
        OK + b"\r\n12345678901",
        CHUNKED + b"6\r\n123456\r\n5\r\n78901\r\n0\r\n\r\n",
    ],
)
def test_a_body_may_have_so_many_bytes_and_no_more(said: bytes) -> None:
    assert answer([said], most=11)[2] == b"12345678901"
    with pytest.raises(ValueError, match="too much"):
        answer([said], most=10)


def test_many_chunks_of_one_byte_cost_no_more_than_reading_them() -> None:
    """Copying what was read so far for each of them would take minutes."""
    content = CHUNKED + b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n"
    pieces = [content[start : start + 65536] for start in range(0, len(content), 65536)]
    assert len(answer(pieces)[2]) == 200_000


_WORDS = st.sampled_from(
    [
        b"HTTP/1.1 ", b"HTTP/1.0 ", b"200", b"100", b"204", b" OK", b"\r\n", b"\r\n\r\n", b"\n", b" ", b":",
        b"-", b"+", b"0", b"1", b"4", b"f", b"9" * 30, b"Content-Length: ", b"Transfer-Encoding: chunked",
        b"\x00", b"\xff", b"x", b"said", b";a=b",
    ]
)  # fmt: skip
_SAID = st.lists(_WORDS | st.binary(max_size=8), max_size=40).map(b"".join)


@given(
    said=_SAID | _SAID.map(lambda rest: OK + rest) | _SAID.map(lambda rest: CHUNKED + rest),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=20),
)
def test_any_bytes_in_any_pieces_are_an_answer_or_an_error(said: bytes, cuts: list[int]) -> None:
    pieces, rest = list[bytes](), said
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    pieces.append(rest)
    try:
        whole = answer([said])
    except (ValueError, ConnectionResetError) as error:
        with pytest.raises(type(error)):
            answer(pieces)
        return
    assert answer(pieces) == whole
    status, headers, body = whole
    assert 200 <= status < 600
    assert all(name == name.lower() for name in headers)
    assert len(body) <= len(said)
