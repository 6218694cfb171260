"""artifactd config show, as a real command."""

from tests.support.process import Site


def test_config_show_prints_every_value_with_its_source_and_no_secret(site: Site) -> None:
    done = site.command(
        "config",
        "show",
        "--json",
        environment={"ARTIFACTD_WATCH__QUIET_SECONDS": "7", "DRIVERLESS_AI_AWS_SECRET_ACCESS_KEY": "CANARY"},
    )
    assert '{"key": "watch.quiet_seconds", "value": "7.0", "source": "environment' in done.stdout
    assert "CANARY" not in done.stdout + done.stderr
