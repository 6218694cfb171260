"""Large copies: in parts, several at a time, in little memory, never begun again where parts are known."""

import base64
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from artifactd import checksum
from artifactd.artifact import Key
from artifactd.stores.base import Corrupt, Denied, Parts, Proof, Put, Source, StoreError, Unavailable
from artifactd.stores.objects.sending import MOST_FRUITLESS
from artifactd.stores.s3.checksums import Verified
from tests.servers.faults import Answer, Blackhole, Fault, Flip, Reset, Seen
from tests.servers.s3 import S3Server
from tests.support.buckets import CLOCK, PART
from tests.support.harness import a_put, digest, may_pass, only, outcome, pattern, receipt
from tests.support.process import until
from tests.support.through import Through, through
from tests.support.upload_logs import Torn, Written

SMALL_PART = 64 << 10
"""Bytes. rclone takes such parts; SeaweedFS and moto want 5 MiB, as Amazon does."""


@pytest.fixture
def weed(seaweed: S3Server) -> Iterator[Through]:
    with through(seaweed) as here:
        yield here


@pytest.fixture
def lax(rclone: S3Server) -> Iterator[Through]:
    with through(rclone) as here:
        yield here


@pytest.fixture
def upload_log(tmp_path: Path) -> Iterator[Written]:
    upload_log = Written(tmp_path / "upload_log")
    yield upload_log
    upload_log.close()


class File:
    """A source of the test's."""

    def __init__(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        self._file = path.open("r+b")
        self.size = len(content)

    def put(self, *ours: bytes, key: str = "k", parts: Parts | None = None) -> Put:
        """Of the bytes that it has now."""
        found, size = checksum.of_file(self._file.fileno())
        source = Source(size, fd=self._file.fileno(), parts=parts)
        return Put(Key(key), source, found, tuple(digest(one) for one in ours))

    def write(self, content: bytes, at: int) -> None:
        self._file.seek(at)
        self._file.write(content)
        self._file.flush()

    @property
    def fd(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def large(tmp_path: Path) -> Iterator[File]:
    """In two parts."""
    file = File(tmp_path / "large", pattern(PART + 1))
    yield file
    file.close()


def number(seen: Seen) -> int:
    found = re.search("partNumber=([0-9]+)", seen.target)
    assert found is not None
    return int(found[1])


def numbers(here: Through) -> list[int]:
    return sorted(map(number, here.seen("UploadPart")))


# --- what is sent ---


def test_a_large_copy_goes_in_parts_with_a_checksum_each_and_one_over_all(weed: Through, large: File) -> None:
    got = receipt(weed.store().put([large.put()]))
    assert (got.proof, got.written, got.size) == (Proof.SERVER_CHECKSUM, True, PART + 1)
    steps = ["HeadObject", "CreateMultipartUpload", "UploadPart", "UploadPart", "CompleteMultipartUpload"]
    assert weed.operations == steps
    assert all(seen.headers["x-amz-checksum-sha256"] for seen in weed.seen("UploadPart"))
    assert sorted(seen.body_length or 0 for seen in weed.seen("UploadPart")) == [1, PART]
    assert weed.seen("CreateMultipartUpload")[0].headers["x-amz-checksum-algorithm"] == "SHA256"
    assert weed.seen("CompleteMultipartUpload")[0].headers["if-none-match"] == "*"
    assert weed.content("k") == pattern(PART + 1)
    kept = weed.client.head_object(**weed.at("k"))["Metadata"]
    assert (kept["sha256"], kept["size"]) == (digest(pattern(PART + 1)), str(PART + 1))


def test_a_copy_of_one_part_goes_in_one_request(weed: Through, tmp_path: Path) -> None:
    file = File(tmp_path / "source", pattern(PART))
    receipt(weed.store().put([file.put()]))
    assert weed.operations == ["PutObject"]
    file.close()


def test_parts_that_were_hashed_with_the_whole_send_the_same(weed: Through, large: File) -> None:
    store = weed.store()
    computed = receipt(store.put([large.put(key="computed")]))
    _, digests, _ = checksum.of_parts(large.fd, large.size, PART)
    given = receipt(store.put([large.put(key="given", parts=Parts(PART, digests))]))
    other = receipt(store.put([large.put(key="other", parts=Parts(PART - 1, digests))]))
    assert computed.version == given.version == other.version
    assert weed.content("given") == weed.content("other") == pattern(PART + 1)


def test_a_large_copy_again_costs_one_look(weed: Through, large: File) -> None:
    receipt(weed.store().put([large.put()]))
    before = weed.mark("k")
    store = weed.store()
    again = receipt(store.put([large.put()]))
    assert (again.written, again.proof) == (False, Proof.SERVER_CHECKSUM)
    assert weed.operations == ["HeadObject"]
    assert weed.mark("k") == before


def test_large_bytes_of_ours_are_replaced_on_their_version(weed: Through, large: File) -> None:
    store = weed.store()
    version = receipt(store.put([a_put("k", b"old")])).version
    assert receipt(store.put([large.put(b"old")])).written
    assert weed.seen("CompleteMultipartUpload")[0].headers["if-match"] == version
    assert weed.content("k") == pattern(PART + 1)


def test_large_bytes_never_replace_somebody_elses(weed: Through, large: File) -> None:
    store = weed.store()
    weed.plant("k", b"foreign")
    assert outcome(only(store.put([large.put()]))) == "Conflict"
    assert weed.seen("CreateMultipartUpload") == [], "nothing is sent in vain"
    assert weed.content("k") == b"foreign"


def test_who_puts_something_else_while_the_parts_are_sent_wins(weed: Through, large: File) -> None:
    """And what was sent is dropped: nobody wants it."""
    store = weed.store()
    weed.spoil(Answer(404), "HeadObject")  # as the key was when it was looked at
    weed.plant("k", b"foreign")
    assert outcome(only(store.put([large.put()]))) == "Conflict"
    assert weed.content("k") == b"foreign"
    assert weed.operations[-1] == "AbortMultipartUpload"
    assert weed.uploads() == []


# --- gone on with ---


def stopped_after_one_part(here: Through, file: File, upload_log: Written) -> StoreError:
    """The second part meets a server that has no room for now."""
    store = here.store(upload_log=upload_log)
    full = Fault(Answer.s3(507, "InsufficientStorage"), lambda seen: "partNumber=2" in seen.target, math.inf)
    here.proxy.faults.append(full)
    result = only(store.put([file.put()]))
    assert isinstance(result, StoreError)
    here.proxy.faults.remove(full)
    assert [sorted(one.parts) for one in upload_log.unfinished("s3")] == [[1]]
    return result


def test_what_was_sent_is_not_sent_again_by_the_next_put(
    weed: Through, large: File, upload_log: Written
) -> None:
    stopped_after_one_part(weed, large, upload_log)
    assert weed.content("k") is None
    store = weed.store(upload_log=upload_log)
    assert receipt(store.put([large.put()])).written
    assert weed.operations == ["HeadObject", "UploadPart", "CompleteMultipartUpload", "HeadObject"]
    assert numbers(weed) == [2]
    assert weed.content("k") == pattern(PART + 1)
    assert list(upload_log.unfinished("s3")) == []


@pytest.mark.parametrize("code", ["ExpiredToken", "AccessDenied", "KMS.DisabledException"])
def test_a_lack_of_rights_costs_no_part(weed: Through, large: File, upload_log: Written, code: str) -> None:
    store = weed.store(upload_log=upload_log)
    weed.proxy.faults.append(
        Fault(Answer.s3(403, code), lambda seen: "partNumber=2" in seen.target, math.inf)
    )
    assert isinstance(only(store.put([large.put()])), Denied)
    assert "AbortMultipartUpload" not in weed.operations
    assert len(weed.uploads()) == 1
    weed.proxy.faults.clear()
    weed.proxy.seen.clear()
    (begun,) = upload_log.unfinished("s3")
    sent = set(begun.parts)
    assert receipt(store.put([large.put()])).written
    assert not set(numbers(weed)) & sent


def test_an_upload_that_somebody_aborted_is_begun_anew(
    weed: Through, large: File, upload_log: Written
) -> None:
    stopped_after_one_part(weed, large, upload_log)
    for _, upload in weed.uploads():
        weed.client.abort_multipart_upload(**weed.at("k"), UploadId=upload)
    store = weed.store(upload_log=upload_log)
    assert receipt(store.put([large.put()])).written
    assert weed.content("k") == pattern(PART + 1)
    assert list(upload_log.unfinished("s3")) == []


def test_an_upload_that_gets_no_further_is_begun_anew_after_some_tries(
    weed: Through, large: File, upload_log: Written
) -> None:
    stopped_after_one_part(weed, large, upload_log)
    ((_, poisoned),) = weed.uploads()
    weed.proxy.faults.append(Fault(Reset(), lambda seen: poisoned in seen.target, math.inf))
    store = weed.store(upload_log=upload_log)
    for _ in range(MOST_FRUITLESS):
        assert [one.upload for one in upload_log.unfinished("s3")] == [poisoned]
        assert isinstance(only(store.put([large.put()])), Unavailable)
    assert list(upload_log.unfinished("s3")) == []
    assert receipt(store.put([large.put()])).written
    assert numbers(weed)[-2:] == [2, 2]
    assert weed.content("k") == pattern(PART + 1)


def test_an_upload_that_gets_further_each_time_is_never_begun_anew(
    lax: Through, tmp_path: Path, upload_log: Written
) -> None:
    file = File(tmp_path / "source", pattern((2 * MOST_FRUITLESS - 1) * SMALL_PART + 1))
    store = lax.store(upload_log=upload_log, part_size=SMALL_PART)
    for last in range(1, 2 * MOST_FRUITLESS):
        here = Fault(Answer.s3(507, "InsufficientStorage"), beyond(last), math.inf)
        lax.proxy.faults.append(here)
        assert isinstance(only(store.put([file.put()])), Unavailable)
        lax.proxy.faults.remove(here)
    assert receipt(store.put([file.put()])).written
    assert len(lax.seen("CreateMultipartUpload")) == 1
    file.close()


def beyond(last: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.operation == "UploadPart" and number(seen) > last


def test_a_name_of_an_upload_that_fits_into_no_address_is_not_taken(
    weed: Through, large: File, upload_log: Written
) -> None:
    store = weed.store(upload_log=upload_log)
    name = "Z" * 100_000
    answer = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
    weed.spoil(Answer(200, answer.encode()), "CreateMultipartUpload")
    assert isinstance(only(store.put([large.put()])), Unavailable)
    assert list(upload_log.unfinished("s3")) == []
    assert receipt(store.put([large.put()])).written


def test_an_upload_that_lost_a_part_is_dropped_and_begun_anew(
    weed: Through, large: File, upload_log: Written
) -> None:
    stopped_after_one_part(weed, large, upload_log)
    ((_, upload),) = weed.uploads()
    upload_log.has(upload, 1, '"00000000000000000000000000000000"')
    assert receipt(weed.store(upload_log=upload_log).put([large.put()])).written
    assert weed.content("k") == pattern(PART + 1)
    assert weed.uploads() == [], "nobody pays for the old parts"


def test_an_upload_that_newer_bytes_supersede_is_aborted(
    weed: Through, large: File, upload_log: Written
) -> None:
    stopped_after_one_part(weed, large, upload_log)
    ((_, upload),) = weed.uploads()
    large.write(b"newer", 0)
    store = weed.store(upload_log=upload_log)
    assert receipt(store.put([large.put()])).written
    assert upload in weed.seen("AbortMultipartUpload")[0].target
    assert numbers(weed) == [1, 2]
    assert weed.uploads() == []
    assert list(upload_log.unfinished("s3")) == []


def test_an_upload_whose_bytes_are_there_already_is_aborted(
    weed: Through, large: File, upload_log: Written
) -> None:
    stopped_after_one_part(weed, large, upload_log)
    weed.plant("k", pattern(PART + 1))
    assert receipt(weed.store(upload_log=upload_log).put([large.put()])).written is False
    assert weed.uploads() == []
    assert list(upload_log.unfinished("s3")) == []


def test_stale_uploads_of_ours_are_aborted_and_nobody_elses(
    weed: Through, large: File, upload_log: Written
) -> None:
    stopped_after_one_part(weed, large, upload_log)
    foreign = weed.client.create_multipart_upload(**weed.at("k"))["UploadId"]
    later = replace(CLOCK, now=lambda: CLOCK.now() + 3 * 86400)
    young = replace(CLOCK, now=lambda: CLOCK.now() + 86400)
    weed.store(upload_log=upload_log, abandon_after=2 * 86400.0, clock=young)
    assert len(weed.uploads()) == 2, "it is not old enough"
    weed.store(upload_log=upload_log, abandon_after=2 * 86400.0, clock=later)
    assert weed.uploads() == [("k", foreign)]
    assert list(upload_log.unfinished("s3")) == []


def test_an_abort_that_fails_is_tried_at_the_next_start(
    weed: Through, large: File, upload_log: Written
) -> None:
    stopped_after_one_part(weed, large, upload_log)
    later = replace(CLOCK, now=lambda: CLOCK.now() + 3 * 86400)
    (begun,) = upload_log.unfinished("s3")
    weed.proxy.faults.append(
        Fault(
            Answer.s3(403, "AccessDenied"),
            lambda seen: seen.method == "DELETE" and begun.upload in seen.target,
        )
    )
    weed.store(upload_log=upload_log, clock=later)
    assert len(upload_log.unfinished("s3")) == 1
    weed.store(upload_log=upload_log, clock=later)
    assert list(upload_log.unfinished("s3")) == []
    assert weed.uploads() == []


def test_an_upload_log_that_cannot_be_written_stops_the_put_and_says_so(weed: Through, large: File) -> None:
    store = weed.store(ready=False, upload_log=Torn())
    results = store.put([large.put(), a_put("small", b"1")])
    assert all(may_pass(result) for result in results)
    assert "No space left on device" in str(results[0])
    assert weed.content("k") is None


# --- sources that change ---


@pytest.mark.parametrize("verified", list(Verified))
@pytest.mark.parametrize("size", [1000, PART + 1000])
def test_a_source_that_changed_after_it_was_hashed_is_never_published(
    weed: Through, tmp_path: Path, verified: Verified, size: int
) -> None:
    file = File(tmp_path / "source", pattern(size))
    _, digests, _ = checksum.of_parts(file.fd, size, PART)
    put = file.put(parts=Parts(PART, digests))
    file.write(b"changed", size - 500)
    result = only(weed.store(verified=verified).put([put]))
    assert isinstance(result, Corrupt)
    assert weed.content("k") is None
    file.close()


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart"])
def test_a_bit_that_flips_on_its_way_is_found_by_the_server(
    weed: Through, tmp_path: Path, operation: str
) -> None:
    size = 1000 if operation == "PutObject" else PART + 1000
    file = File(tmp_path / "source", pattern(size))
    store = weed.store()
    weed.spoil(Flip(7), operation)
    assert isinstance(only(store.put([file.put()])), Corrupt)
    assert weed.content("k") is None
    assert receipt(store.put([file.put()])).written
    assert weed.content("k") == pattern(size)
    file.close()


@pytest.mark.parametrize("size", [1000, PART + 1000])
def test_a_server_that_says_that_it_got_other_bytes_is_believed(
    weed: Through, tmp_path: Path, size: int
) -> None:
    file = File(tmp_path / "source", pattern(size))
    store = weed.store()
    other = base64.b64encode(bytes.fromhex(digest(b"other"))).decode()
    answer = Answer(200, headers={"etag": '"e"', "x-amz-checksum-sha256": other})
    weed.spoil(answer, "PutObject", "UploadPart")
    result = only(store.put([file.put()]))
    assert isinstance(result, Corrupt)
    assert digest(b"other") in str(result)
    assert receipt(store.put([file.put()])).written
    file.close()


def test_a_bit_that_flips_is_found_by_reading_back_where_the_server_checks_nothing(moto: S3Server) -> None:
    with through(moto) as here:
        store = here.store()
        here.spoil(Flip(1), "PutObject")
        got = receipt(store.put([a_put("k", b"content")]))
        assert (got.digest, got.proof) == (digest(b"content"), Proof.READ_BACK)
        assert here.operations == ["PutObject", "GetObject"] * 2
        assert here.seen("PutObject")[1].headers["if-match"], "only our own flipped bytes are replaced"
        assert here.content("k") == b"content"


@pytest.mark.parametrize(
    ("size", "before"), [(1000, None), (1000, b"proven before"), (PART + 1000, b"proven before")]
)
def test_bytes_of_ours_that_arrived_wrong_are_replaced_by_another_run(
    moto: S3Server, tmp_path: Path, size: int, before: bytes | None
) -> None:
    file = File(tmp_path / "source", pattern(size))
    with through(moto) as here:
        store, put = here.store(), replace(file.put(), ours=(file.put().digest,))
        if before is not None:
            old = a_put("k", before)
            version = receipt(store.put([old])).version
            put = replace(put, ours=(old.digest, put.digest), version=version)
        here.spoil(Flip(1), "PutObject", "UploadPart", times=math.inf)
        spoilt = only(store.put([put]))
        assert isinstance(spoilt, Corrupt)
        assert "the server has kept other bytes (sha256 " in str(spoilt)
        here.proxy.faults.clear()
        assert receipt(here.store().put([put])).written
        assert here.content("k") == pattern(size)
    file.close()


def test_parts_are_read_back_where_the_server_checks_puts_alone(moto: S3Server, tmp_path: Path) -> None:
    def of_wrong_bytes(seen: Seen) -> bool:
        return seen.operation == "PutObject" and seen.target.endswith("probe-refused")

    file = File(tmp_path / "source", pattern(PART + 1000))
    with through(moto) as here:
        here.proxy.faults.append(Fault(Answer.s3(400, "BadDigest"), of_wrong_bytes, math.inf))
        store = here.store()
        assert any("the parts of a large copy" in doubt and "read back" in doubt for doubt in store.doubts())
        here.spoil(Flip(1), "UploadPart", times=2)
        got = receipt(store.put([file.put()]))
        assert (got.digest, got.proof, got.written) == (file.put().digest, Proof.READ_BACK, True)
        assert here.content("k") == pattern(PART + 1000)
        assert receipt(store.put([a_put("small", b"content")])).proof is Proof.SERVER_CHECKSUM
    file.close()


def test_what_only_says_that_it_is_ours_is_not_replaced_where_the_server_checks(weed: Through) -> None:
    """It has kept the bytes that it was sent, and those were not ours."""
    store, put = weed.store(), a_put("k", b"content")
    weed.client.put_object(**weed.at("k"), Body=b"foreign", Metadata={"sha256": put.digest})
    assert outcome(only(store.put([put]))) == "Conflict"
    assert weed.content("k") == b"foreign"


# --- processes that are killed, and measured ---


@contextmanager
def sender(here: Through, folder: Path, file: Path, part_size: int) -> Iterator[subprocess.Popen[str]]:
    told: dict[str, Any] = {
        "url": here.proxy.url, "bucket": here.place[0], "prefix": here.place[1], "key": "k",
        "file": str(file), "upload_log": str(folder / "upload_log"), "part_size": str(part_size),
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.support.sender", json.dumps(told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def known(upload_log: Path) -> set[int]:
    lines = [json.loads(line) for line in upload_log.read_text().splitlines()]
    return {line[2] for line in lines if line[0] == "has"}


def test_a_process_that_is_killed_within_64_parts_sends_none_of_the_known_again(
    lax: Through, tmp_path: Path
) -> None:
    content = pattern(63 * SMALL_PART + 1)
    (tmp_path / "source").write_bytes(content)
    held = Fault(Blackhole(), lambda seen: seen.operation == "UploadPart" and number(seen) > 20, math.inf)
    lax.proxy.faults.append(held)
    with sender(lax, tmp_path, tmp_path / "source", SMALL_PART) as process:
        until(lambda: len(known(tmp_path / "upload_log")) == 20, "20 parts are written down")
        process.kill()
    lax.proxy.faults.remove(held)
    assert lax.content("k") is None
    before = known(tmp_path / "upload_log")
    lax.proxy.seen.clear()
    upload_log = Written(tmp_path / "upload_log")
    file = File(tmp_path / "source", content)
    store = lax.store(upload_log=upload_log, part_size=SMALL_PART)
    assert receipt(store.put([file.put()])).written
    assert numbers(lax) == sorted(set(range(1, 65)) - before)
    assert lax.seen("CreateMultipartUpload") == []
    assert lax.content("k") == content
    assert list(upload_log.unfinished("s3")) == []
    upload_log.close()
    file.close()


def test_a_process_that_is_killed_goes_on_where_conditions_and_checksums_hold(
    weed: Through, tmp_path: Path
) -> None:
    content = pattern(3 * PART + 1)
    (tmp_path / "source").write_bytes(content)
    held = Fault(Blackhole(), lambda seen: seen.operation == "UploadPart" and number(seen) > 2, math.inf)
    weed.proxy.faults.append(held)
    with sender(weed, tmp_path, tmp_path / "source", PART) as process:
        until(lambda: len(known(tmp_path / "upload_log")) == 2, "2 parts are written down")
        process.kill()
    weed.proxy.faults.remove(held)
    upload_log = Written(tmp_path / "upload_log")
    file = File(tmp_path / "source", content)
    got = receipt(weed.store(upload_log=upload_log).put([file.put()]))
    assert (got.written, got.proof) == (True, Proof.SERVER_CHECKSUM)
    assert numbers(weed) == [3, 4]
    assert weed.content("k") == content
    upload_log.close()
    file.close()


@pytest.mark.parametrize("kind", ["sha256", pytest.param("md5", marks=pytest.mark.torture)])
def test_a_large_file_costs_little_memory(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    with (tmp_path / "source").open("wb") as file:
        file.truncate(200 << 20)
    server = request.getfixturevalue("seaweed" if kind == "sha256" else "rclone")
    with through(server) as here, sender(here, tmp_path, tmp_path / "source", 16 << 20) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["ok"], said
        assert len([part for part in here.seen("UploadPart") if "probe" not in part.target]) == 13
    assert said["grown"] < 12 << 20
