"""What git says and what it means; what a commit says. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import Digest
from artifactd.stores.base import Denied, StoreError, Unacceptable, Unavailable
from artifactd.stores.git.answers import Declined, excerpt, meaning, rejected
from artifactd.stores.git.message import Line, message

NO_READ = """
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
"""
DECLINED = "\n ! [remote rejected] dev -> dev (pre-receive hook declined)"
HTTPS = "fatal: unable to access 'https://h/': "

SAID = [
    (HTTPS + "server certificate verification failed. CAfile: none CRLfile: none", Denied, "out of date"),
    (HTTPS + "SSL certificate problem: certificate has expired", Denied, "renew"),
    (HTTPS + "SSL: no alternative certificate subject name matches target host", Denied, "of another host"),
    ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @" + NO_READ, Denied, "known_hosts"),
    ("Host key verification failed." + NO_READ, Denied, "known_hosts"),
    ("git@bitbucket.org: Permission denied (publickey)." + NO_READ, Denied, "ssh key"),
    ("remote: Invalid credentials\nfatal: Authentication failed for 'https://h/'", Denied, "password"),
    ("fatal: could not read Username for 'https://h': terminal prompts disabled", Denied, "password"),
    (HTTPS + "The requested URL returned error: 403", Denied, "right to push"),
    ("remote: You are not permitted to access this repository", Denied, "right to push"),
    ("remote: Repository ws/r not found\nfatal: repository 'https://h/' not found", Denied, "no such"),
    ("remote: dev can only be modified through pull requests." + DECLINED, Denied, "protected"),
    ("remote: Your push failed because the repository is over its size limit", Denied, "no room"),
    ("remote: fatal: write error: No space left on device\nfatal: early EOF", Denied, "no room"),
    ("remote: error: GH001: Large files detected" + DECLINED, Unacceptable, "size"),
    ("error: RPC failed; HTTP 413 curl 22\nfatal: the remote end hung up", Unacceptable, "size"),
    ("remote: Commits need a ticket" + DECLINED, Declined, "rule of the server"),
    (HTTPS + "Could not resolve host: h", Unavailable, "does not answer"),
    ("ssh: connect to host h port 22: Connection refused" + NO_READ, Unavailable, "does not answer"),
    (HTTPS + "The requested URL returned error: 503", Unavailable, "does not answer"),
    (HTTPS + "The requested URL returned error: 429", Unavailable, "pause"),
    ("error: RPC failed; curl 56\nfatal: early EOF", Unavailable, "does not answer"),
    ("fetch-pack: unexpected disconnect while reading sideband packet", Unavailable, "does not answer"),
]


@pytest.mark.parametrize(("said", "kind", "advice"), SAID, ids=[said[:40] for said, _, _ in SAID])
def test_what_git_says_means_what_to_do(said: str, kind: type[StoreError], advice: str) -> None:
    met = meaning(said)
    assert type(met) is kind
    assert advice in str(met)


@pytest.mark.parametrize("said", ["", "fatal: bad object HEAD", "error: inflate: data stream error"])
def test_what_may_be_the_clones_fault_is_not_blamed_on_the_server(said: str) -> None:
    assert meaning(said) is None


@pytest.mark.parametrize(
    ("said", "late"),
    [
        ("!\tx:refs/heads/dev\t[rejected] (stale info)", True),
        ("!\tx:refs/heads/dev\t[rejected] (fetch first)", True),
        ("!\tx:refs/heads/dev\t[remote rejected] (failed to update ref)", True),
        ("remote: error: cannot lock ref 'refs/heads/dev': reference already exists", True),
        ("!\tx:refs/heads/dev\t[remote rejected] (pre-receive hook declined)", False),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 503", False),
    ],
)
def test_a_push_that_came_too_late_is_told_from_one_that_is_not_wanted(said: str, *, late: bool) -> None:
    assert rejected(said) is late


@given(st.text())
def test_an_excerpt_is_one_short_line_whatever_the_server_said(said: str) -> None:
    found = excerpt(said)
    assert found
    assert len(found) <= 300
    assert found.isprintable()


# --- commits ---

LINE = Line("u/e/k", Digest("0" * 64), 5)


@given(st.text(), st.text(min_size=1))
def test_names_of_people_and_experiments_cannot_forge_a_trailer(user: str, experiment_id: str) -> None:
    text = message("Export {count} of {user}'s {experiment_id}", user, experiment_id, [LINE])
    lines = text.split("\n")
    assert sum(line.startswith("Artifactd-Copy: ") for line in lines[1:]) == 1
    assert sum(line.startswith("Artifactd-Version: ") for line in lines[1:]) == 1
    assert len(lines) <= 8


def test_values_with_braces_are_not_read_again() -> None:
    text = message("{user} {experiment_id}", "{experiment_id}", "{count}", [LINE])
    assert text.startswith("{experiment_id} {count}\n")
