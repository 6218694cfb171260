"""What git says and what it means; what a commit says. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import Digest
from artifactd.stores.base import Denied, StoreError, Unacceptable, Unavailable
from artifactd.stores.git.answers import Declined, excerpt, last_word, meaning, rejected
from artifactd.stores.git.message import Line, message

NO_READ = """
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
"""
DECLINED = "\n ! [remote rejected] dev -> dev (pre-receive hook declined)"
UNPACK = (
    "!\tx:refs/heads/dev\t[remote rejected] (unpacker error)\n"
    "remote: {}        \nerror: remote unpack failed: index-pack abnormal exit"
)
HTTPS = "fatal: unable to access 'https://h/': "

SAID = [
    (HTTPS + "server certificate verification failed. CAfile: none CRLfile: none", Denied, "out of date"),
    (HTTPS + "SSL certificate problem: certificate has expired", Denied, "Renew"),
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
    ("remote: Repository is over the size limit (4 GB) and will not accept" + DECLINED, Declined, "no room"),
    ("[ALERT] the account 'a' has exceeded its user limit and is restricted to read-only", Denied, "no room"),
    ("remote: Mirror repositories are read-only" + DECLINED, Denied, "mirror"),
    (
        "remote: You cannot push to a mirror, push to its upstream" + DECLINED,
        Denied,
        "mirrors in artifacts_git",
    ),
    ("remote: The committer must match the authenticated user" + DECLINED, Denied, "[git] committer"),
    ("remote: Expected committer email 'a@h' but found 'b@h'" + DECLINED, Denied, "[git] committer"),
    (
        "remote: You can only push commits if the committer email is yours" + DECLINED,
        Denied,
        "[git] committer",
    ),
    ("remote: committers.csv is not wanted" + DECLINED, Declined, "rule of the server"),
    (UNPACK.format("fatal: pack exceeds maximum allowed size"), Unacceptable, "size"),
    (UNPACK.format("error: object 6b3d: gitmodulesName: disallowed submodule name"), Unacceptable, "name"),
    (
        UNPACK.format("error: object 6b3d: gitattributesLarge: .gitattributes too large to parse"),
        Unacceptable,
        "as",
    ),
    ("error: remote unpack failed: error Invalid tree ab: invalid name 'GIT~1'", Unacceptable, "name"),
    (UNPACK.format("fatal: write error: No space left on device"), Declined, "no room"),
    (UNPACK.format("fatal: something new"), Declined, "unpacks at the server"),
    ("!\tx:refs/heads/dev\t[remote rejected] (something new)", Declined, "rule of the server"),
    ("remote: Commits need a ticket" + DECLINED, Declined, "rule of the server"),
    ("remote: POLICY: mojo.zip is forbidden here" + DECLINED, Declined, "rule of the server"),
    ("remote: file mojo.zip: access denied by policy" + DECLINED, Declined, "rule of the server"),
    ("remote: mojo.zip exceeds the quota for a file" + DECLINED, Declined, "no room"),
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


BANNER = "\n".join(f"remote: * line {n} of the banner: ask at https://help.example *" for n in range(40))


@pytest.mark.parametrize(
    "said",
    [
        f"remote: policy 7 forbids it\n{BANNER}\n{DECLINED}",
        f"{BANNER}\nremote: policy 7 forbids it\n",
        f"{BANNER}\nremote: Expected committer policy 7\n{BANNER}\n{DECLINED}",
        f"!\tx:refs/heads/dev\t[remote rejected] (policy 7)\n{BANNER}",
    ],
    ids=["before a banner", "behind it", "in its midst, in known words", "in the status"],
)
def test_a_long_banner_hides_no_cause(said: str) -> None:
    met = meaning(said)
    assert "policy 7" in (str(met) if met else excerpt(said))


def test_the_status_of_a_push_is_told_without_its_names() -> None:
    said = "To /r\n!\tabc:dev\t[remote rejected] (no reason)\nDone\nerror: failed to push some refs"
    assert excerpt(said) == "[remote rejected] (no reason)"


LOCK = "remote: error: cannot lock ref 'refs/heads/dev': "


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (LOCK + "'refs/heads/dev/feature' exists; cannot create 'refs/heads/dev'", "artifacts_git_branch"),
        (LOCK + "Unable to create '/r/./refs/heads/dev.lock': File exists.", "its owner deletes the file"),
        ("!\tx:refs/heads/dev\t[remote rejected] (failed to update ref)", "failed to update ref"),
        ("!\tx:refs/heads/dev\t[rejected] (stale info)", "stale info"),
    ],
)
def test_what_was_no_race_speaks_of_the_branch_and_of_no_file(said: str, advice: str) -> None:
    met = last_word(said)
    assert type(met) is Denied
    assert advice in str(met)


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
