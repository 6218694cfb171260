"""What is wrong is told all at once, each line with its place, what was found and the mend."""

from pathlib import Path

import pytest

from artifactd.config.assemble import load
from artifactd.config.problem import ConfigError

S3 = "artifacts_store = 's3'\nartifacts_s3_bucket = 'exports'\n"
AZURE = "artifacts_store = 'azure'\n"


def refusal(tmp_path: Path, text: str = "", **environ: str) -> ConfigError:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return caught.value


def problems(tmp_path: Path, text: str = "", **environ: str) -> list[str]:
    """The problems' lines, with each file called as a person in its directory would call it."""
    return [
        str(problem).replace(f"{tmp_path}/", "") for problem in refusal(tmp_path, text, **environ).problems
    ]


def test_every_problem_is_told_at_once_and_reads_well(tmp_path: Path) -> None:
    text = """
        enable_artifacts_upload = "maybe"
        artifacts_store = ["s3", "bitbucket"]
        [watch]
        quiet_secconds = 3
        rescan_seconds = -1
        [artifactd]
        on_change = "replce"
        [s3]
        encryption = "aes"
        kms_key_id = "key"
        object_lock_mode = "compliance"
        [[policy]]
        action = "export"
        """
    error = refusal(tmp_path, text, ARTIFACTD_LOG__LEVEL="loud", ARTIFACTD_LOG__FROMAT="json")
    assert error.__context__ is None
    assert (
        str(error).replace(f"{tmp_path}/", "")
        == """\
11 problems in the configuration:
  config.toml: watch.quiet_secconds: unknown key; did you mean quiet_seconds?
  environment: ARTIFACTD_LOG__FROMAT: unknown variable; did you mean ARTIFACTD_LOG__FORMAT?
  config.toml: enable_artifacts_upload: found "maybe"; allowed: true or false
  config.toml: artifactd.on_change: found "replce"; allowed: replace, keep_both, refuse; did you mean replace?
  config.toml: watch.rescan_seconds: found -1; allowed: seconds, more than 0 and at most 86400
  config.toml: s3.encryption: found "aes"; allowed: none, AES256, aws:kms
  environment: ARTIFACTD_LOG__LEVEL: found "loud"; allowed: debug, info, warning, error
  config.toml: policy.1.name: missing; the record names the rule that decided
  config.toml: artifacts_s3_bucket: missing; artifacts_store names s3, which needs a bucket
  config.toml: s3.object_lock_mode: it needs s3.object_lock_days beside it; set both or neither
  config.toml: artifacts_git_repo: missing; artifacts_store names bitbucket, which needs a repository"""
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("artifact_store = 's3'", "artifact_store: unknown key; did you mean artifacts_store?"),
        (
            "aws_secret_access_key_fil = ''",
            "aws_secret_access_key_fil: unknown key; did you mean aws_secret_access",
        ),
        ("quiet_seconds = 1", "quiet_seconds: unknown key; quiet_seconds belongs into [watch]"),
        ("num_gpus = 1", "num_gpus: unknown key; Driverless AI's other keys stay in its file"),
        ("'x.y' = 1", "x.y: unknown key; Driverless AI's other keys stay in its file"),
        ("[wacth]\nx = 1", "wacth: unknown table; did you mean [watch]?"),
        ("[kafka]\nx = 1", "kafka: unknown table; there are artifactd, watch, "),
        ("watch = 3", "watch: allowed: a table, starting with a line [watch]"),
        ("[[watch]]", "watch: allowed: a table, starting with a line [watch]"),
        ("policy = 3", "policy: found 3; allowed: rules, each starting with a line [[policy]]"),
        ("policy = [3]", "policy.1: found 3; allowed: a table, starting with a line [[policy]]"),
        (
            "[watch]\ndata_directory = 'x'",
            "watch.data_directory: it belongs at the top of the file, before the",
        ),
        ("[watch]\nworkers = 3", "watch.workers: unknown key; workers belongs into [limits]"),
        (
            "[watch]\nx = 3",
            "watch.x: unknown key; [watch] has quiet_seconds, rescan_seconds, max_wait_seconds",
        ),
        ("[s3]\nbucket = 'b'", "s3.bucket: unknown key; Driverless AI's name for it is artifacts_s3_bucket"),
        (
            "[s3]\naccess_key_id = 'i'",
            "s3.access_key_id: unknown key; Driverless AI's name for it is aws_access",
        ),
        (
            "[s3]\nskip_cert_verification = 1",
            "s3.skip_cert_verification: unknown key; Driverless AI's name for it is s3_skip_cert_verificatio",
        ),
        (
            "[azure]\nconnection_string = 'c'",
            "azure.connection_string: unknown key; Driverless AI's name for it is artifacts_azure_connectio",
        ),
        (
            "[file_system]\ncert_verification = 1",
            "file_system.cert_verification: unknown key; [file_system] has ",
        ),
        ("container = 'c'", "container: unknown key; container belongs into [azure]"),
        (
            "[artifacts_store]\nx = 3",
            "artifacts_store: found { x = 3 }; allowed: one or several of file_system, s3",
        ),
        ("data_directory = ''", 'data_directory: found ""; allowed: the path of a file or directory'),
        (r'data_directory = "a\u0000"', "data_directory: found "),
        (
            "[layout]\nuser = '../x'",
            'layout.user: found "../x"; allowed: a name that can be a folder in every st',
        ),
        ('"a\\u001b[2J" = 1', r"a\x1b[2J: unknown key"),
        (f"[log]\nlevel = '{'x' * 500}'", f'log.level: found "{"x" * 79}…; allowed'),
    ],
)
def test_each_mistake_is_told_with_its_mend(text: str, told: str, tmp_path: Path) -> None:
    (line,) = problems(tmp_path, text)
    assert line.startswith(f"config.toml: {told}")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("", "policy.1.name: missing"),
        ("name = ''", 'policy.1.name: found ""; allowed: a text that is not empty'),
        ("name = 'x'\nmatc = '*'", "policy.1 (x).matc: unknown key; did you mean match?"),
        ("name = 'x'\ntemplate = '*'", "policy.1 (x).template: unknown key; a rule has name, action, match"),
        ("name = 'x'\naction = 'copy'", 'policy.1 (x).action: found "copy"; allowed: export, ignore'),
        ("name = 'x'\nkinds = 'mojo'", 'policy.1 (x).kinds: found "mojo"; allowed: summary, logs, '),
        ("name = 'x'\nmatch = ['']", 'policy.1 (x).match: found [""]; allowed: a pattern in quotes'),
        ("name = 'x'\nmatch = '/x'", 'policy.1 (x).match: found "/x"; allowed: patterns on the path inside'),
        ("name = 'x'\nmatch = '{1..9999}'", 'policy.1 (x).match: found "{1..9999}"; allowed: patterns that'),
        ("name = 'x'\nusers = '{1..9999}'", 'policy.1 (x).users: found "{1..9999}"; allowed: patterns that'),
        ("name = 'x'\nexperiments = '{1..9999}'", "policy.1 (x).experiments: found "),
        (
            "name = 'x'\nas = '../{name}'",
            'policy.1 (x).as: found "../{name}"; allowed: a name that a copy can have',
        ),
        (
            "name = 'x'\nas = '{nam}'",
            'policy.1 (x).as: found "{nam}"; allowed: a name in which braces hold noth',
        ),
        (
            "name = 'x'\nmin_size = 3\nmax_size = 2",
            "policy.1 (x).max_size: found 2; allowed: at least min_size",
        ),
        (
            "name = 'x'\n[[policy]]\nname = 'x'",
            "policy: two rules are named 'x'; each needs a name of its own",
        ),
    ],
)
def test_each_mistake_in_a_rule_is_told_with_the_rule(rule: str, told: str, tmp_path: Path) -> None:
    (line,) = problems(tmp_path, f"[[policy]]\n{rule}\n")
    assert line.startswith(f"config.toml: {told}")


@pytest.mark.parametrize("text", ["policy = 3", "[policy]\nname = 'x'", "policy = [3]"])
def test_rules_that_are_no_array_of_tables_are_a_problem(text: str, tmp_path: Path) -> None:
    (line,) = problems(tmp_path, text)
    assert line.startswith("config.toml: policy")


@pytest.mark.parametrize(
    ("store", "keys", "missing"),
    [
        ("s3", "", ["artifacts_s3_bucket"]),
        ("S3", "artifacts_s3_bucket = 'exports'", []),
        ("azure", "", ["azure.container", "artifacts_azure_blob_account_name"]),
        ("azure", "azure.container = 'exports'", ["artifacts_azure_blob_account_name"]),
        ("azure", "artifacts_azure_blob_account_name = 'account'", ["azure.container"]),
        ("azure", "artifacts_azure_connection_string = 'UseDevelopmentStorage=true'", ["azure.container"]),
        ("azure", "azure.endpoint_url = 'https://x.example'", ["azure.container"]),
        (
            "azure",
            "artifacts_azure_sas_token = 'sig=x'\nazure.container = 'exports'",
            ["artifacts_azure_blob_account_name"],
        ),
        ("azure", "artifacts_azure_blob_account_name = 'account'\nazure.container = 'exports'", []),
    ],
)
def test_a_store_says_what_it_needs(store: str, keys: str, missing: list[str], tmp_path: Path) -> None:
    kind = store.lower()
    # Beside a store that this version does not have, so that there is always a refusal.
    lines = problems(tmp_path, f"artifacts_store = '{store}, bitbucket'\n{keys}")
    named = [line.split(": ")[1] for line in lines if f"missing; artifacts_store names {kind}, which" in line]
    assert named == missing


@pytest.mark.parametrize(
    "text",
    [
        "artifacts_store = 's3'\nartifacts_s3_bucket = 3",
        f"{S3}aws_access_key_id = 'i'\naws_secret_access_key = 3",
        f"{S3}s3.object_lock_mode = 1\ns3.object_lock_days = 1",
        f"{S3}s3.encryption = 1\ns3.kms_key_id = 'k'",
        f"{AZURE}azure.container = 3\nazure.endpoint_url = 'https://x.example'",
        f"{AZURE}azure.container = 'exports'\nazure.endpoint_url = 'x'",
        f"{AZURE}azure.container = 'exports'\nartifacts_azure_connection_string = 3",
        f"{AZURE}azure.container = 'exports'\nartifacts_azure_blob_account_name = 'A'",
    ],
)
def test_a_key_that_is_wrong_is_told_once_and_nothing_is_concluded_from_it(text: str, tmp_path: Path) -> None:
    (line,) = problems(tmp_path, text)
    assert "; allowed: " in line or ": allowed: " in line


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a = 1\nb = \n", "line 2, column 5: Invalid value"),
        (b"a = '\xff'", "is not a text in UTF-8 (byte 5)"),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_the_place(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "bad.toml", {})
    assert f"{tmp_path}/bad.toml: {told}" in str(caught.value)
    assert problems(tmp_path, f"[artifactd]\ndriverless_ai_config = '{tmp_path}/bad.toml'")[0].startswith(
        "bad.toml: "
    )


def test_a_missing_file_is_a_problem_whoever_names_it(tmp_path: Path) -> None:
    told = "none.toml: cannot be read: No such file or directory"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.toml", {})
    assert told in str(caught.value)
    assert problems(tmp_path, "[artifactd]\ndriverless_ai_config = 'none.toml'") == [told]
    (line,) = problems(tmp_path, ARTIFACTD_CONFIG="ignored, a path was given", ARTIFACTD_X__Y="")
    assert line.startswith(
        "environment: ARTIFACTD_X__Y: unknown variable; a key's would be ARTIFACTD_<TABLE>"
    )


def test_a_user_config_directory_that_cannot_be_listed_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "dai.toml").write_text("user_config_directory = 'none'")
    lines = problems(tmp_path, DRIVERLESS_AI_CONFIG_FILE=f"{tmp_path}/dai.toml")
    told = "user_config_directory: none cannot be listed: No such file or directory"
    assert lines == [f"dai.toml: {told}"]
    assert problems(tmp_path, "user_config_directory = 'none'") == [f"config.toml: {told}"]


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("ARTIFACTD_WATCH_QUIET_SECONDS", "unknown variable; did you mean ARTIFACTD_WATCH__QUIET_SECONDS?"),
        ("ARTIFACTD_STATE_DIRECTORY", "unknown variable; did you mean ARTIFACTD_ARTIFACTD__STATE_DIRECTORY?"),
        ("ARTIFACTD_DATA_DIRECTORY", "unknown variable; it is DRIVERLESS_AI_DATA_DIRECTORY"),
        (
            "ARTIFACTD_NONSENSE",
            "unknown variable; a key's would be ARTIFACTD_<TABLE>__<KEY>, the file's is ARTIFACTD_CONFIG",
        ),
        (
            "ARTIFACTD_CONFIG_FILE",
            "unknown variable; a key's would be ARTIFACTD_<TABLE>__<KEY>, the file's is ARTIFACTD_CONFIG",
        ),
    ],
)
def test_an_unknown_variable_of_ours_is_a_problem_that_names_the_right_one(
    variable: str, told: str, tmp_path: Path
) -> None:
    assert problems(tmp_path, **{variable: "1"}) == [f"environment: {variable}: {told}"]


@pytest.mark.parametrize(
    "variable",
    [
        "ARTIFACTD_CONFIG",
        "ARTIFACTD_SERVICE_HOST",
        "ARTIFACTD_SERVICE_PORT_HEALTH",
        "ARTIFACTD_PORT",
        "ARTIFACTD_PORT_9817_TCP_ADDR",
        "ARTIFACTD_HEALTH_SERVICE_HOST",
    ],
)
def test_variables_that_kubernetes_makes_of_a_service_are_none_of_ours(variable: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    assert load(tmp_path / "config.toml", {variable: "10.0.0.1"}).warnings == ()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("DRIVERLESS_AI_ARTIFACT_STORE", "DRIVERLESS_AI_ARTIFACTS_STORE"),
        ("DRIVERLESS_AI_ENABLE_ARTIFACT_UPLOAD", "DRIVERLESS_AI_ENABLE_ARTIFACTS_UPLOAD"),
        ("DRIVERLESS_AI_AZURE_SAS_TOKEN", None),
        ("DRIVERLESS_AI_AZURE_BLOB_ACCOUNT_NAME", None),
        ("DRIVERLESS_AI_CONFIG_FILE", None),
        ("DRIVERLESS_AI_LOG_DIRECTORY", None),
    ],
)
def test_a_variable_of_driverless_ai_that_nearly_names_one_that_is_read_is_warned_of(
    variable: str, meant: str | None, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text("")
    warnings = load(tmp_path / "config.toml", {variable: ""}).warnings
    assert warnings == (
        () if meant is None else (f"{variable}: it sets nothing of artifactd's; did you mean {meant}?",)
    )


def test_driverless_ai_s_own_file_in_place_of_ours_is_told_in_a_sentence(tmp_path: Path) -> None:
    theirs = "data_directory = '/x'\nport = 1\nauthentication_method = 'x'\nhdfs_config_path = ''\n"
    (line,) = problems(tmp_path, theirs)
    assert line.startswith(
        "config.toml: this looks like Driverless AI's own configuration; name it in a file of"
    )
    assert "driverless_ai_config" in line
    assert len(problems(tmp_path, f"{theirs}[watch]\nquiet_seconds = 1")) == 3


@pytest.mark.parametrize("state", ["data", "data/state", "link/state"])
def test_the_state_may_not_lie_in_the_data_directory(state: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    text = f'data_directory = "data"\n[artifactd]\nstate_directory = "{state}"'
    (line,) = problems(tmp_path, text)
    assert line.startswith(f"config.toml: artifactd.state_directory: {state} lies in the data directory")


@pytest.mark.parametrize(
    ("destination", "told"),
    [
        ("state", "it lies in the state directory"),
        ("link/exports", "it lies in the state directory"),
        (".", "the state directory lies in it"),
        ("link/..", "the state directory lies in it"),
        ("state-of-exports", None),
    ],
)
def test_the_destination_and_the_state_may_not_lie_in_each_other(
    destination: str, told: str | None, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to("state")
    text = f'artifacts_file_system_directory = "{destination}"\n[artifactd]\nstate_directory = "state"\n'
    lines = problems(tmp_path, f"{text}on_change = 3")
    found = [line for line in lines if "artifacts_file_system_directory" in line]
    assert [told in line for line in found if told] == [True] * (told is not None)
    assert len(found) == (told is not None)


def test_the_destination_may_not_be_a_folder_with_experiments(tmp_path: Path) -> None:
    (tmp_path / "data/alice/h2oai_experiment_one").mkdir(parents=True)
    text = 'data_directory = "data"\nartifacts_file_system_directory = "data/alice"'
    (line,) = problems(tmp_path, text)
    assert "artifacts_file_system_directory" in line
    assert "with experiments in it; choose a directory of its own" in line


def test_a_first_wait_that_is_longer_than_the_longest_is_a_problem(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "[retry]\nfirst_seconds = 60\ncap_seconds = 5\n")
    assert "retry.first_seconds: 60 s are more than retry.cap_seconds, 5 s" in line
