"""The real daemon on a real S3 server: what it says of it, what it resumes, how it comes back."""

import json
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.servers.faults import Answer, Fault, Slow, of
from tests.servers.ports import free_ports
from tests.servers.proxy import Proxy
from tests.servers.s3 import ADMIN, Credentials, S3Server
from tests.support.bucketed import PART, Bucketed
from tests.support.probes import value
from tests.support.process import CSV, Site, a_zip, until

KEY = "alice/one/train_preds.csv"


@pytest.fixture
def bucketed(site: Site, seaweed: S3Server) -> Iterator[Bucketed]:
    with Proxy(seaweed.url) as proxy:
        yield Bucketed(site, seaweed, proxy)


# --- what is exported ---


def test_artifacts_arrive_with_notes_for_one_request_each(bucketed: Bucketed) -> None:
    with bucketed.site.daemon() as daemon:
        bucketed.site.write("train_preds.csv")
        bucketed.site.write("mojo_pipeline/mojo.zip", a_zip())
        daemon.hear("artifact.exported", 2)
    assert bucketed.content(KEY) == CSV
    objects = bucketed.objects()
    assert set(objects) == {KEY, "alice/one/mojo.zip"}
    notes = objects[KEY]["Metadata"]
    assert {name: notes[name] for name in ("user", "experiment", "kind", "size", "source")} == {
        "user": "alice",
        "experiment": "one",
        "kind": "train_predictions",
        "size": str(len(CSV)),
        "source": "alice/h2oai_experiment_one/train_preds.csv",
    }
    (exported,) = [one for one in daemon.heard("artifact.exported") if one["key"] == KEY]
    assert (exported["proof"], exported["store_version"]) == ("server_checksum", objects[KEY]["ETag"])
    assert notes["sha256"] == exported["sha256"]
    operations = [seen.operation for seen in bucketed.proxy.seen if "_artifactd" not in seen.target]
    assert sorted(operations) == ["HeadObject", "PutObject", "PutObject"], "the first one is looked for"
    assert not daemon.heard("store.doubted")


def test_what_is_proven_costs_no_request_again(bucketed: Bucketed) -> None:
    bucketed.site.write("train_preds.csv")
    bucketed.site.ok("sync")
    for _ in range(2):
        before = len(bucketed.proxy.seen)
        bucketed.site.ok("sync")
        assert len(bucketed.proxy.seen) == before
        bucketed.site.ok("verify")


def test_newer_bytes_replace_the_version_on_record_in_one_request(bucketed: Bucketed) -> None:
    bucketed.site.write("train_preds.csv")
    bucketed.site.ok("sync")
    before = bucketed.objects()[KEY]["ETag"]
    bucketed.site.write("train_preds.csv", b"newer")
    bucketed.site.ok("sync")
    assert bucketed.content(KEY) == b"newer"
    puts = [seen for seen in bucketed.proxy.seen if seen.operation == "PutObject"]
    assert [put for put in puts if "_artifactd" not in put.target][-1].headers["if-match"] == before
    assert len(bucketed.sent("PutObject")) == 2
    assert len(bucketed.sent("HeadObject")) == 2, "the first one of each run is looked for"


def test_bytes_that_somebody_else_put_there_are_a_conflict_for_a_person(bucketed: Bucketed) -> None:
    bucketed.plant(KEY, b"foreign")
    bucketed.site.write("train_preds.csv")
    done = bucketed.site.command("sync")
    assert done.returncode == 5
    assert "which artifactd did not write" in done.stdout
    assert bucketed.content(KEY) == b"foreign"


# --- what is verified ---


@pytest.mark.parametrize(
    ("change", "code", "asked"),
    [
        (lambda _: None, 0, True),
        (lambda bucketed: bucketed.plant(KEY, b"rotten"), 11, False),
        (lambda bucketed: bucketed.delete(KEY), 12, True),
        (lambda bucketed: bucketed.plant("alice/one/stray.csv", b"stray"), 14, True),
    ],
    ids=["untouched", "changed", "deleted", "added"],
)
@pytest.mark.parametrize("read", [(), ("--read",)], ids=["asked", "read"])
def test_verify_finds_what_was_done_to_a_bucket(
    bucketed: Bucketed, change: Callable[[Bucketed], None], code: int, *, asked: bool, read: tuple[str, ...]
) -> None:
    """What the server's checksum does not tell is read: here somebody's object that has none."""
    bucketed.site.write("train_preds.csv")
    bucketed.site.ok("sync")
    change(bucketed)
    assert bucketed.site.command("verify", *read).returncode == code
    assert bool(bucketed.sent("GetObject")) is (bool(read) or not asked)


# --- a store that is not as it should be ---


def test_a_store_that_is_down_at_the_start_delays_the_export_and_nothing_else(bucketed: Bucketed) -> None:
    with ExitStack() as down:
        down.enter_context(bucketed.proxy.down())
        bucketed.site.write("train_preds.csv")
        with bucketed.site.daemon() as daemon:
            told = daemon.hear("store.unavailable")
            assert not told["needs_person"]
            assert "cannot be reached" in told["reason"]
            down.close()
            daemon.hear("store.recovered")
            daemon.hear("artifact.exported")
    assert bucketed.content(KEY) == CSV


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bucket": "no-such-bucket"}, "there is no such bucket: make it, or mend artifacts_s3_bucket"),
        (
            {"credentials": Credentials("AKIAUNKNOWN", "secret")},
            "the server does not know this access key: mend aws_access_key_id",
        ),
        (
            {"credentials": Credentials(ADMIN.access_key, "not-the-secret")},
            "the secret key does not fit the access key: mend aws_secret_access_key",
        ),
    ],
    ids=["bucket", "key", "secret"],
)
def test_what_a_person_has_to_mend_is_said_once_and_the_daemon_stays_up(
    bucketed: Bucketed, wrong: dict[str, Any], said: str
) -> None:
    bucketed.configure(**wrong)
    bucketed.site.write("train_preds.csv")
    with bucketed.site.daemon() as daemon:
        told = daemon.hear("store.unavailable")
        assert told["needs_person"]
        assert said in told["reason"]
        tries = len(bucketed.proxy.seen)
        until(lambda: len(bucketed.proxy.seen) >= tries + 3, "three more tries")
        assert len(daemon.heard("store.unavailable")) == 1
    assert bucketed.site.command("check").returncode == 7
    assert "not-the-secret" not in "".join(map(str, daemon.lines))


def test_expired_credentials_are_one_alert_and_the_export_follows_when_they_are_renewed(
    bucketed: Bucketed,
) -> None:
    with bucketed.site.daemon() as daemon:
        bucketed.site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        bucketed.proxy.faults.append(Fault(Answer.s3(400, "ExpiredToken"), of("PutObject"), math.inf))
        bucketed.site.write("test_preds.csv")
        told = daemon.hear("store.unavailable")
        assert told["needs_person"]
        assert "the session's token has expired: renew it" in told["reason"]
        bucketed.proxy.faults.clear()
        daemon.hear("store.recovered")
        daemon.hear("artifact.exported")
    assert bucketed.content("alice/one/test_preds.csv") == CSV
    assert len(daemon.heard("store.unavailable")) == 1


def test_a_store_that_is_out_is_not_asked_to_anchor_the_record(bucketed: Bucketed) -> None:
    with bucketed.site.daemon() as daemon:
        bucketed.site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        bucketed.proxy.faults.append(Fault(Answer.s3(400, "ExpiredToken"), of("PutObject"), math.inf))
        bucketed.site.write("test_preds.csv")
        daemon.hear("store.unavailable")
    assert not [seen.target for seen in bucketed.proxy.seen if "_artifactd/anchors" in seen.target]


def test_a_server_that_ignores_conditions_is_told_of_by_check_and_by_the_daemon(
    site: Site, rclone: S3Server
) -> None:
    with Proxy(rclone.url) as proxy:
        bucketed = Bucketed(site, rclone, proxy)
        done = site.ok("check")
        assert "but the server ignores If-None-Match and If-Match" in done
        with site.daemon() as daemon:
            site.write("train_preds.csv")
            daemon.hear("artifact.exported")
            assert "ignores If-None-Match" in daemon.hear("store.doubted")["reason"]
        assert bucketed.content(KEY) == CSV


def test_requests_are_measured_by_operation_and_stand_still_while_nothing_changes(
    bucketed: Bucketed,
) -> None:
    where = f"127.0.0.1:{free_ports(1)[0]}"
    bucketed.configure(more=f'[health]\nlisten = "{where}"\n')

    def puts() -> float:
        return value(where, "store_requests_total", store="s3", operation="PutObject")

    bucketed.site.write("train_preds.csv")
    with bucketed.site.daemon() as daemon:
        daemon.hear("artifact.exported")
        until(lambda: value(where, "copies", store="s3", state="proven") == 1, "the copy")
        sent, measured = len(bucketed.proxy.seen), puts()
        assert measured >= 1
        bucketed.site.write("test_preds.csv")
        daemon.hear("artifact.exported", 2)
        until(lambda: puts() == measured + 1, "the request")
        assert len(bucketed.proxy.seen) == sent + 1


# --- large files, and sudden deaths ---


def _parts(bucketed: Bucketed) -> list[int]:
    return [
        int(found.group(1))
        for target in bucketed.sent("UploadPart")
        if (found := re.search("partNumber=([0-9]+)", target))
    ]


def test_a_large_upload_goes_on_after_a_kill_where_it_was(bucketed: Bucketed) -> None:
    content = os.urandom(16 * PART + 1)
    bucketed.configure(more="connections = 2\n")
    bucketed.proxy.faults.append(Fault(Slow(40 * PART), of("UploadPart"), math.inf))
    bucketed.site.write("train_preds.csv", content)
    with bucketed.site.starting() as daemon:
        until(lambda: len(_parts(bucketed)) >= 6, "some parts are under way")
        daemon.process.kill()
    before = set(_parts(bucketed))
    bucketed.proxy.faults.clear()
    bucketed.site.ok("sync")
    assert bucketed.content(KEY) == content
    assert len(bucketed.sent("CreateMultipartUpload")) == 1
    again = [number for number in before if _parts(bucketed).count(number) > 1]
    assert len(again) <= 2, "only what was under way is sent again"
    assert set(_parts(bucketed)) == set(range(1, 18))
    uploads = bucketed.server.client().list_multipart_uploads(Bucket=bucketed.bucket, Prefix=bucketed.prefix)
    assert not uploads.get("Uploads"), "nothing unfinished stays behind"
    assert bucketed.site.command("verify").returncode == 0


def test_a_large_copy_whose_ledger_was_lost_is_recognised_without_being_sent(
    bucketed: Bucketed, tmp_path: Path
) -> None:
    bucketed.site.write("train_preds.csv", os.urandom(2 * PART + 1))
    bucketed.site.ok("sync")
    bucketed.site.state.rename(tmp_path / "lost")
    bucketed.proxy.seen.clear()
    bucketed.site.ok("sync")
    assert not bucketed.sent("UploadPart")
    assert not bucketed.sent("GetObject"), "the server's checksum over the parts tells"
    found = bucketed.site.command("verify", "--json")
    assert found.returncode == 15, "the anchors of the lost ledger are another record's: nobody knows it here"
    (lost,) = json.loads(found.stdout.splitlines()[-1])["other_records"]["s3"]
    bucketed.site.ok("verify", "--expect", lost)
