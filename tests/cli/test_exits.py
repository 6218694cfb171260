"""The exit codes that commands share."""

import pytest

from tests.support.process import Site


@pytest.mark.parametrize("command", ["run", "sync", "list", "plan", "verify", "audit", "check"])
def test_a_wrong_configuration_ends_with_3_and_lists_every_problem(site: Site, command: str) -> None:
    site.config.write_text('[watch]\nquiet_secconds = 1\n[retry]\ngive_up_after = "soon"\n')
    done = site.command(command)
    assert done.returncode == 3
    assert "quiet_seconds" in done.stderr
    assert "give_up_after" in done.stderr


@pytest.mark.parametrize(
    "command", [("sync",), ("run",), ("export", "data/alice/h2oai_experiment_one/a.csv")]
)
def test_a_state_directory_that_cannot_be_written_ends_with_6(site: Site, command: tuple[str, ...]) -> None:
    site.state.write_text("a file stands in its place")
    done = site.command(*command)
    assert done.returncode == 6, done.stderr
    assert str(site.state) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("sync", "--wait", "-1"), ("export",), ("retry",), ("no-such-command",)]
)
def test_a_wrong_command_line_ends_with_2(site: Site, arguments: tuple[str, ...]) -> None:
    assert site.command(*arguments).returncode == 2
