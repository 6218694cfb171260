"""artifactd hint, as a real command."""

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
