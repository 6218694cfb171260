"""The keys of the Bitbucket store: Driverless AI's and those of `[git]`."""

from pathlib import Path

import pytest

from artifactd.clock import Clock
from artifactd.config.assemble import load
from artifactd.config.destinations.git import FIELDS, Bitbucket, Identity, subject_template
from artifactd.config.destinations.git_address import Address, Protocol
from artifactd.config.effective import Config
from artifactd.config.problem import ConfigError
from artifactd.stores.git.store import GitStore
from artifactd.stores.objects.unfinished import InMemory
from artifactd.stores.open import open_store
from artifactd.stores.surroundings import Surroundings
from tests.servers.git.repository import Repository
from tests.servers.git.stores import store_on
from tests.support.harness import a_put, receipt

STORE = 'enable_artifacts_upload = true\nartifacts_store = "bitbucket"\ndata_directory = "data"\n'
REPO = 'artifacts_git_repo = "https://bitbucket.example/scm/a/b.git"\n'


def config(directory: Path, text: str) -> Config:
    (directory / "config.toml").write_text(STORE + text)
    return load(directory / "config.toml", {})


def destination(directory: Path, text: str) -> Bitbucket:
    (found,) = config(directory, text).destinations
    assert isinstance(found, Bitbucket)
    return found


def problems(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(directory, text)
    return [str(problem).partition("config.toml: ")[2] for problem in caught.value.problems]


def test_a_repository_alone_is_enough(tmp_path: Path) -> None:
    found = destination(tmp_path, REPO + '[artifactd]\nstate_directory = "state"\n')
    assert (found.repository.branch, found.repository.user, found.table.prefix) == ("dev", "git", "")
    assert found.clones == tmp_path / "state" / "git"
    assert (found.table.lfs_threshold, found.table.max_file_size) == (10 << 20, 100 << 20)
    clock = Clock(lambda: 0.0, lambda: 0.0, lambda: 0.0)
    store = open_store(found, Surroundings("me", used_before=False, upload_log=InMemory(), clock=clock))
    assert isinstance(store, GitStore)
    store.close()


def test_a_store_without_a_repository_says_so(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "")
    assert told.startswith("artifacts_git_repo: missing")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('artifacts_git_repo = "http://h/r.git"', "artifacts_git_repo: allowed: an address"),
        ('artifacts_git_repo = "git://h/r.git"', "artifacts_git_repo: allowed: an address"),
        ('artifacts_git_repo = "ext::sh -c id"', "artifacts_git_repo: allowed: an address"),
        ('artifacts_git_repo = "ssh://-oProxyCommand=id/r"', "artifacts_git_repo: allowed: an address"),
        ('artifacts_git_repo = "-u:r"', "artifacts_git_repo: allowed: an address"),
        ('artifacts_git_repo = "relative/r.git"', "artifacts_git_repo: allowed: an address"),
        (REPO + 'artifacts_git_branch = "a..b"', "artifacts_git_branch: allowed: the name of a branch"),
        (REPO + 'artifacts_git_branch = "-a"', "artifacts_git_branch: allowed: the name of a branch"),
        (REPO + 'artifacts_git_branch = ""', "artifacts_git_branch: allowed: the name of a branch"),
        (REPO + 'artifacts_git_branch = "a b"', "artifacts_git_branch: allowed: the name of a branch"),
        (REPO + 'bitbucket_tmp_relative_dir = "/tmp"', "bitbucket_tmp_relative_dir: allowed: a path inside"),
        (REPO + 'bitbucket_tmp_relative_dir = "../x"', "bitbucket_tmp_relative_dir: allowed: a path inside"),
        (REPO + '[git]\nauthor = "nobody"', 'git.author: found "nobody"; allowed: a name and an address'),
        (REPO + '[git]\nprefix = "a/.git"', "git.prefix: found"),
        (REPO + '[git]\ncommit_subject = "{x}"', "git.commit_subject: found"),
        (REPO + '[git]\nmax_file_size = "big"', "git.max_file_size: found"),
    ],
)
def test_what_is_wrong_is_told_with_its_mend(tmp_path: Path, keys: str, told: str) -> None:
    (line,) = problems(tmp_path, keys)
    assert line.startswith(told)


def test_a_wrong_address_is_not_shown(tmp_path: Path) -> None:
    assert "canary" not in "".join(problems(tmp_path, 'artifacts_git_repo = "ext::canary"'))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (REPO, []),
        (REPO + "bitbucket_skip_cert_verification = true", ["bitbucket_skip_cert_verification"]),
        (REPO + 'bitbucket_tmp_relative_dir = "local_git_tmp"', ["bitbucket_tmp_relative_dir"]),
    ],
)
def test_what_is_seldom_meant_is_warned_of(tmp_path: Path, keys: str, told: list[str]) -> None:
    assert [warning.partition(":")[0] for warning in config(tmp_path, keys).warnings] == told


def test_the_clone_lies_in_the_data_directory_only_if_it_is_asked_for(tmp_path: Path) -> None:
    found = destination(tmp_path, REPO + 'bitbucket_tmp_relative_dir = "local_git_tmp"')
    assert found.clones == tmp_path / "data" / "local_git_tmp"


@pytest.mark.parametrize(("repo", "skipped"), [("https://h/r.git", True), ("ssh://git@h/r.git", False)])
def test_skipping_the_certificate_is_for_https_alone(tmp_path: Path, repo: str, *, skipped: bool) -> None:
    text = f'artifacts_git_repo = "{repo}"\nbitbucket_skip_cert_verification = true\n'
    assert destination(tmp_path, text).repository.skip_cert_verification is skipped


@pytest.mark.parametrize(
    ("text", "protocol", "host", "user", "path"),
    [
        ("https://h/r.git", Protocol.HTTPS, "h", "", "/r.git"),
        ("https://h:7990/scm/r.git", Protocol.HTTPS, "h:7990", "", "/scm/r.git"),
        ("ssh://git@h:7999/p/r.git", Protocol.SSH, "h:7999", "git", "/p/r.git"),
        ("git@bitbucket.org:ws/r.git", Protocol.SSH, "bitbucket.org", "git", "ws/r.git"),
        ("file:///srv/r.git", Protocol.FILE, "", "", "/srv/r.git"),
    ],
)
def test_an_address_is_read_as_git_reads_it(
    text: str, protocol: Protocol, host: str, user: str, path: str
) -> None:
    assert Address.parse(text) == Address(protocol, text, host, user, path)


def test_the_path_of_a_directory_is_an_address(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "a repository, 100% é.git")
    store = store_on(str(repository.path), tmp_path / "home")
    receipt(store.put([a_put("k", b"new")]))
    store.close()
    assert repository.contents() == {"k": b"new"}


@pytest.mark.parametrize("text", ["", "two\nlines", "{unknown}", " "])
def test_a_template_that_cannot_be_filled_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one line of text"):
        subject_template(text)


def test_a_template_may_name_every_field() -> None:
    text = " ".join(f"{{{field}}}" for field in FIELDS)
    assert subject_template(text) == text


@pytest.mark.parametrize("text", ["", "name", "<a@b>", "name <a@b", "name <a@b> more", "a <b> <c>", "a\n<b>"])
def test_an_identity_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a name and an address"):
        Identity.parse(text)


def test_an_identity_reads_as_git_reads_it() -> None:
    assert Identity.parse("Ann B. <ann@example.com>") == Identity("Ann B.", "ann@example.com")
