"""The real process and a git repository: exported, verified, found altered, down and up again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.git.https import PASSWORD, USER, GitServer, https
from tests.servers.git.repository import Repository
from tests.servers.tls import Authority
from tests.support.process import CSV, Site, a_zip, until

EXPECTED = {"alice/one/test_preds.csv": CSV, "alice/one/mojo.zip": a_zip()}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "root" / "repository.git")


@pytest.fixture
def server(repository: Repository, site: Site, authority: Authority) -> Iterator[GitServer]:
    """A server, and the site configured for it."""
    (site.base / "password").write_text(PASSWORD)
    (site.base / "password").chmod(0o600)
    with https(repository.path.parent, authority.good.context()) as server:
        site.configure(f"[git]\nca_file = '{authority.ca_file}'\nbatch_window_seconds = 0.2\n")
        keys = (
            "artifacts_store = 'bitbucket'\nartifacts_git_password_file = 'password'\n"
            f"artifacts_git_repo = '{server.url()}'\nartifacts_git_user = '{USER}'\n"
        )
        site.config.write_text(keys + site.config.read_text())
        yield server


def exported(repository: Repository) -> dict[str, bytes]:
    """What lies in the repository, the anchors of the record aside."""
    return {key: content for key, content in repository.contents().items() if not key.startswith("_")}


def write_all(site: Site) -> None:
    site.write("test_preds.csv")
    site.write("mojo_pipeline/mojo.zip", a_zip())


def test_an_experiment_is_exported_and_proven_and_what_others_alter_is_found(
    site: Site, server: GitServer, repository: Repository
) -> None:
    write_all(site)
    done = site.command("sync")
    assert done.returncode == 0, done.stderr + done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    assert exported(repository) == EXPECTED
    assert any(message.startswith("Export 2 artifacts of alice's") for message in repository.commits())

    before, requests = repository.head(), len(server.seen)
    assert site.command("verify").returncode == 0
    assert len(server.seen) > requests
    repository.write({"alice/one/mojo.zip": b"altered"})
    assert site.command("verify").returncode == 11
    assert repository.head() != before


def test_nothing_to_do_is_no_request(site: Site, server: GitServer, repository: Repository) -> None:
    write_all(site)
    assert site.command("sync").returncode == 0
    before, requests = repository.head(), len(server.seen)
    assert site.command("sync").returncode == 0
    assert (repository.head(), len(server.seen)) == (before, requests)


def test_check_tries_the_repository_for_real(site: Site, server: GitServer, repository: Repository) -> None:
    done = site.command("check", "--json")
    assert done.returncode == 0, done.stdout
    assert "_artifactd/check" in repository.contents()
    server.password = "another"  # noqa: S105 - of nobody
    done = site.command("check", "--json")
    assert done.returncode == 7
    assert "artifacts_git_password" in done.stdout


def test_a_daemon_waits_for_a_server_that_is_down(
    site: Site, server: GitServer, repository: Repository
) -> None:
    server.answers["info/refs"] = (503, {})
    with site.daemon() as daemon:
        write_all(site)
        assert daemon.hear("store.unavailable")["needs_person"] is False
        server.answers.clear()
        daemon.hear("store.recovered")
        until(lambda: exported(repository) == EXPECTED, "both are exported")


def test_a_daemon_that_is_killed_in_the_middle_of_a_push_exports_each_artifact_once(
    site: Site, server: GitServer, repository: Repository
) -> None:
    with site.daemon() as daemon:
        server.on_request = daemon.kill
        write_all(site)
        daemon.ended()
        server.on_request = lambda: None
    assert site.command("sync").returncode == 0
    assert exported(repository) == EXPECTED
    for key in EXPECTED:
        assert sum(f" {key}\n" in message for message in repository.commits()) == 1
