"""Servers that honour some conditions and not others: what is found out, told, and made of it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.stores.base import Put, Receipt, Refusal, Result
from artifactd.stores.objects.store import ObjectStore
from tests.servers.conditions import ignoring_completion, knowing_no_version, like_ceph
from tests.servers.faults import Answer, Delay, Fault, Seen
from tests.servers.s3 import S3Server
from tests.support.buckets import PART
from tests.support.harness import a_put, only, outcome, pattern, put_file, receipt
from tests.support.through import Through, through

LARGE = PART + 1
FOREIGN = b"foreign"


@pytest.fixture
def lax(moto: S3Server) -> Iterator[Through]:
    with through(moto) as here:
        yield here


def large(store: ObjectStore, tmp_path: Path, change: Callable[[Put], Put] = lambda put: put) -> Result:
    with (tmp_path / "source").open("w+b") as file:
        return only(store.put([change(put_file("k", tmp_path / "source", pattern(LARGE), file.fileno()))]))


def in_the_middle(here: Through, act: Callable[[], object]) -> None:
    """Let this happen while the parts of a large copy are sent."""

    def when(seen: Seen) -> bool:
        if seen.operation == "UploadPart" and not done:
            done.append(act())
        return False

    done = list[object]()
    here.proxy.faults.append(Fault(Delay(0), when))


# --- CompleteMultipartUpload ---


@pytest.mark.parametrize("faulty", [like_ceph, ignoring_completion, lambda _proxy: None])
def test_a_server_that_completes_whatever_the_condition_is_found_out(
    lax: Through, faulty: Callable[[object], None]
) -> None:
    """moto by itself ignores If-Match there alone, which is enough to lose an object that is replaced."""
    faulty(lax.proxy)
    (doubt,) = (one for one in lax.store().doubts() if "parts" in one)
    assert "can be overwritten" in doubt
    assert lax.uploads() == [], "the probe leaves none behind"


def test_what_another_writer_put_while_parts_were_sent_stays(lax: Through, tmp_path: Path) -> None:
    ignoring_completion(lax.proxy)
    store = lax.store()
    in_the_middle(lax, lambda: lax.plant("k", FOREIGN))
    assert outcome(large(store, tmp_path)) == "Conflict"
    assert lax.content("k") == FOREIGN


def test_what_another_writer_made_of_our_copy_while_parts_were_sent_stays(
    lax: Through, tmp_path: Path
) -> None:
    ignoring_completion(lax.proxy)
    store = lax.store()
    old = a_put("k", b"old")
    version = receipt(store.put([old])).version
    in_the_middle(lax, lambda: lax.plant("k", FOREIGN))
    replacing = large(
        store, tmp_path, lambda put: replace(put, ours=(old.digest, put.digest), version=version)
    )
    assert outcome(replacing) == "Conflict"
    assert lax.content("k") == FOREIGN


def test_where_nobody_interferes_a_large_copy_is_made_and_replaced(lax: Through, tmp_path: Path) -> None:
    like_ceph(lax.proxy)
    store = lax.store()
    old = a_put("k", b"old")
    version = receipt(store.put([old])).version
    lax.proxy.seen.clear()
    replacing = large(
        store, tmp_path, lambda put: replace(put, ours=(old.digest, put.digest), version=version)
    )
    assert outcome(replacing) == "written"
    assert lax.content("k") == pattern(LARGE)
    assert lax.operations.count("HeadObject") == 2, "one before the parts, one before they are put together"


def test_who_may_not_look_there_is_refused_a_large_copy_and_no_other(lax: Through, tmp_path: Path) -> None:
    ignoring_completion(lax.proxy)
    lax.spoil(Answer(403), "HeadObject", times=math.inf)
    store = lax.store()
    refused = large(store, tmp_path)
    assert type(refused) is Refusal
    assert "ignores conditions where it puts parts together" in str(refused)
    assert "UploadPart" not in lax.operations
    assert receipt(store.put([a_put("small", b"new")])).written


# --- If-Match ---


def test_a_server_that_compares_bare_versions_is_told_them_bare(lax: Through) -> None:
    like_ceph(lax.proxy)
    store = lax.store()
    version = receipt(store.put([a_put("k", b"old")])).version
    lax.proxy.seen.clear()
    again = only(store.put([replace(a_put("k", b"new", b"old"), version=version)]))
    assert isinstance(again, Receipt), again
    assert lax.content("k") == b"new"
    assert lax.seen("PutObject")[0].headers["if-match"] == version.strip('"')
    lax.plant("k", FOREIGN)
    assert outcome(only(store.put([replace(a_put("k", b"3", b"new"), version=again.version)]))) == "Conflict"


def test_a_server_that_knows_no_version_of_its_own_is_told_of_and_replaces_nothing(lax: Through) -> None:
    knowing_no_version(lax.proxy)
    store = lax.store()
    assert any("keep_both" in doubt for doubt in store.doubts())
    version = receipt(store.put([a_put("k", b"old")])).version
    result = only(store.put([replace(a_put("k", b"new", b"old"), version=version)]))
    assert type(result) is Refusal
    assert "keep_both" in str(result)
    assert lax.content("k") == b"old"
