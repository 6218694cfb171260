"""From files and the environment to one configuration."""

from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest

from artifactd.artifact import Artifact, Kind
from artifactd.config.assemble import load
from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.destinations.kinds import StoreKind
from artifactd.config.effective import Config
from artifactd.decisions.backoff import Backoff
from artifactd.decisions.policy import BUILT_IN, Action, LeftAlone, OnChange, Rule, Template


def config(tmp_path: Path, text: str = "", **environ: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path, environ)


def row(config: Config, key: str) -> tuple[str, str]:
    return next((row.value, row.source) for row in config.effective() if row.key == key)


# What the daemon gets


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    found = config(tmp_path)
    assert not found.enabled
    assert found.data_directory == tmp_path / "tmp"
    assert found.destinations == (FileSystem(tmp_path / "tmp", 0o444, 0o755),)
    assert found.state_directory == Path("/var/lib/artifactd")
    assert found.on_change is OnChange.REPLACE
    assert asdict(found.watch) == {
        "quiet_seconds": 2.0,
        "rescan_seconds": 60.0,
        "max_wait_seconds": 3600.0,
    }
    assert asdict(found.limits) == {"max_file_size": None, "workers": 2}
    assert asdict(found.log) == {"level": "info", "format": "auto"}
    assert (found.user, found.retry, found.policy.rules) == (None, Backoff(), BUILT_IN)
    assert {source for _, _, source in found.effective()} == {"default"}


def test_every_table_reaches_the_daemon(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        """
        enable_artifacts_upload = "True"
        artifacts_file_system_directory = "/srv/exports"
        data_directory = "/opt/h2oai/dai/tmp"
        [artifactd]
        state_directory = "/srv/state"
        on_change = "keep_both"
        [watch]
        quiet_seconds = 5
        [layout]
        user = "admin"
        [limits]
        max_file_size = "20 GiB"
        workers = 8
        [retry]
        first_seconds = 0.5
        cap_seconds = 60
        give_up_after = 3
        [file_system]
        file_mode = "0640"
        directory_mode = "0750"
        [log]
        level = "DEBUG"
        format = "json"
        """,
    )
    assert found.enabled
    assert found.destinations == (FileSystem(Path("/srv/exports"), 0o640, 0o750),)
    assert found.destinations[0].kind is StoreKind.FILE_SYSTEM
    assert (found.data_directory, found.state_directory) == (Path("/opt/h2oai/dai/tmp"), Path("/srv/state"))
    assert (found.on_change, found.user) == (OnChange.KEEP_BOTH, "admin")
    assert (found.watch.quiet_seconds, found.watch.rescan_seconds) == (5.0, 60.0)
    assert (found.limits.max_file_size, found.limits.workers) == (20 * 2**30, 8)
    assert found.retry == Backoff(0.5, 60.0, 3)
    assert (found.log.level, found.log.format) == ("debug", "json")


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    found = config(tmp_path)
    with pytest.raises(FrozenInstanceError):
        found.enabled = True  # type: ignore[misc] # that it is refused is the point
    with pytest.raises(FrozenInstanceError):
        found.watch.quiet_seconds = 1  # type: ignore[misc] # as above


def test_rules_become_the_policy_in_their_order(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        """
        [[policy]]
        name = "contractors"
        action = "ignore"
        match = "*.{zip,csv}"
        users = ["ext-*", "tmp-*"]
        experiments = "0*"
        kinds = ["logs", "SUMMARY"]
        min_size = 1
        max_size = "1 kB"
        [[policy]]
        name = "models"
        kinds = "mojo_pipeline, autodoc"
        as = "{kind}{suffix}"
        """,
    )
    assert found.policy.rules == (
        Rule(
            name="contractors",
            action=Action.IGNORE,
            match=("*.{zip,csv}",),
            kinds=(Kind.LOGS, Kind.SUMMARY),
            users=("ext-*", "tmp-*"),
            experiments=("0*",),
            min_size=1,
            max_size=1000,
        ),
        Rule("models", kinds=(Kind.MOJO_PIPELINE, Kind.AUTODOC), template=Template("{kind}{suffix}")),
    )
    logs = Artifact(b"ext-a/h2oai_experiment_0/l.zip", "ext-a", "0", b"l.zip", Kind.LOGS)
    assert isinstance(found.policy.decide(logs, 1000), LeftAlone)
    assert row(found, "policy.2")[0] == (
        '{ name = "models", action = "export", kinds = ["mojo_pipeline", "autodoc"], as = "{kind}{suffix}" }'
    )


# Paths


def test_a_relative_path_means_relative_to_the_file_it_stands_in(tmp_path: Path) -> None:
    theirs = tmp_path / "dai" / "dai.toml"
    theirs.parent.mkdir()
    theirs.write_text('data_directory = "data"')
    text = (
        'artifacts_file_system_directory = "../exports"\n[artifactd]\ndriverless_ai_config = "dai/dai.toml"\n'
    )
    found = config(tmp_path, text, ARTIFACTD_ARTIFACTD__STATE_DIRECTORY="state")
    assert found.data_directory == tmp_path / "dai" / "data"
    assert found.destinations == (FileSystem(tmp_path / "../exports", 0o444, 0o755),)
    assert found.state_directory == tmp_path / "state"
    (warning,) = found.warnings
    assert warning.startswith(f"{theirs}: data_directory is relative and taken as {tmp_path}/dai/data, but ")


def test_a_linked_data_directory_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    found = config(tmp_path, 'data_directory = "link"')
    assert found.data_directory == tmp_path / "real"
    assert row(found, "data_directory")[0] == f'"{tmp_path}/real"'


@pytest.mark.parametrize(
    ("destination", "enabled", "warned"),
    [
        ("data", "true", True),
        ("data/exports", "true", True),
        ("link/x", "true", True),
        ("data", "false", False),
        ("data-exports", "true", False),
    ],
)
def test_exporting_into_the_data_directory_is_a_warning(
    destination: str,
    enabled: str,
    warned: bool,  # noqa: FBT001 - a column of the table
    tmp_path: Path,
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    text = f'data_directory = "link"\nartifacts_file_system_directory = "{destination}"\n'
    found = config(tmp_path, text, DRIVERLESS_AI_ENABLE_ARTIFACTS_UPLOAD=enabled)
    assert bool(found.warnings) is warned


# Sources


def test_each_source_goes_before_the_ones_below_it_and_says_so(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    keys = [
        "artifacts_git_user",
        "artifacts_git_branch",
        "aws_role_arn",
        "aws_default_region",
        "artifacts_s3_bucket",
    ]

    def text(source: str, count: int) -> str:
        return "".join(f'{key} = "{source}"\n' for key in keys[:count])

    (tmp_path / "dai.toml").write_text(
        text("base", 5) + f'user_config_directory = "{more}"\nlisteners_x = [1]\n'
    )
    (more / "10.toml").write_text(text("first", 4) + "unknown_of_theirs = true\n[watch]\nx = 1\n")
    (more / "20.toml").write_text(text("second", 3))
    (more / "99.txt").write_text("no toml")
    ours = text("ours", 2) + f'[artifactd]\ndriverless_ai_config = "{tmp_path}/dai.toml"\n'
    found = config(
        tmp_path, ours, DRIVERLESS_AI_ARTIFACTS_GIT_USER='"environment"', DRIVERLESS_AI_UNKNOWN="x"
    )
    assert [row(found, key) for key in keys] == [
        ('"environment"', "environment DRIVERLESS_AI_ARTIFACTS_GIT_USER"),
        ('"ours"', f"{tmp_path}/config.toml"),
        ('"second"', f"{more}/20.toml"),
        ('"first"', f"{more}/10.toml"),
        ('"base"', f"{tmp_path}/dai.toml"),
    ]


def test_files_of_the_user_config_directory_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    for name in (5, 9, 0, 3, 8, 1, 7, 2, 6, 4):
        (tmp_path / f"{name}.toml").write_text(f'aws_role_arn = "{name}"')
    (tmp_path / "dai").write_text('user_config_directory = "."')
    found = config(ours, DRIVERLESS_AI_CONFIG_FILE=f"{tmp_path}/dai")
    assert row(found, "aws_role_arn")[0] == '"9"'


def test_our_variables_go_before_the_file(tmp_path: Path) -> None:
    environ = {"ARTIFACTD_WATCH__QUIET_SECONDS": "'0.5'", "ARTIFACTD_SERVICE_HOST": "10.0.0.1"}
    found = config(tmp_path, "[watch]\nquiet_seconds = 9\nrescan_seconds = 9", **environ)
    assert row(found, "watch.quiet_seconds") == ("0.5", "environment ARTIFACTD_WATCH__QUIET_SECONDS")
    assert row(found, "watch.rescan_seconds") == ("9.0", f"{tmp_path}/config.toml")


@pytest.mark.parametrize("ours", ["", '[artifactd]\ndriverless_ai_config = ""'])
def test_driverless_ai_s_own_variable_names_its_file(ours: str, tmp_path: Path) -> None:
    (tmp_path / "dai.toml").write_text("enable_artifacts_upload = true")
    found = config(tmp_path, ours, DRIVERLESS_AI_CONFIG_FILE=f"{tmp_path}/dai.toml")
    assert found.enabled
    source = "environment DRIVERLESS_AI_CONFIG_FILE"
    assert row(found, "artifactd.driverless_ai_config") == (f'"{tmp_path}/dai.toml"', source)
    assert not config(tmp_path, ours, DRIVERLESS_AI_CONFIG_FILE="/does/not/exist").enabled


def test_without_a_path_the_environment_names_our_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("enable_artifacts_upload = true")
    assert load(None, {"ARTIFACTD_CONFIG": f"{tmp_path}/other.toml"}).enabled


def test_the_digest_follows_the_values_and_not_their_sources(tmp_path: Path) -> None:
    plain = config(tmp_path).digest
    assert len(plain) == 64
    assert config(tmp_path, "[watch]\nquiet_seconds = 2").digest == plain
    assert config(tmp_path, ARTIFACTD_WATCH__QUIET_SECONDS="2").digest == plain
    assert config(tmp_path, "[watch]\nquiet_seconds = 3").digest != plain
    assert config(tmp_path, '[[policy]]\nname = "all"').digest != plain
