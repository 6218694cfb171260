"""artifactd hint, as a real command."""

import pytest

from tests.support.process import Site


def test_a_hint_for_a_known_experiment_tells_how_many_artifacts_are_looked_at(site: Site) -> None:
    site.configure(quiet=20.0)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        assert site.ok("hint", "one") == "1 artifacts are looked at now\n"
        assert daemon.hear("artifact.exported")["evidence"].startswith("hinted+")


def test_a_hint_for_an_unknown_experiment_is_told_and_not_fatal(site: Site) -> None:
    with site.daemon() as daemon:
        done = site.command("hint", "nobody")
        assert done.returncode == 0
        assert "unknown experiment nobody" in done.stderr
        daemon.hear("hint.unknown", experiment_id="nobody")


def test_a_hint_without_a_daemon_is_told_and_not_fatal(site: Site) -> None:
    done = site.command("hint", "one")
    assert done.returncode == 0
    assert "no daemon answers" in done.stderr


@pytest.mark.parametrize("mode", [0o700, 0o710])
def test_a_hint_by_an_account_that_may_not_pass_the_state_directory_says_what_to_do(
    open_site: Site, mode: int
) -> None:
    open_site.state.mkdir()
    open_site.state.chmod(mode)
    done = open_site.command(
        "hint", "one", under=("setpriv", "--reuid=23456", "--regid=23456", "--clear-groups")
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert f"uid 23456 does not get to the daemon's socket in {open_site.state}" in done.stderr
    assert f"chgrp GROUP {open_site.state} && chmod 2710 {open_site.state}" in done.stderr
    assert "A scan will find the artifacts" in done.stderr
