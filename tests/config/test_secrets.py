"""A secret is used and never shown: in no repr, error, warning or digest, and not by `config show`."""

import traceback
from pathlib import Path

import pytest

from artifactd.config.assemble import load
from artifactd.config.destinations.azure import Azure
from artifactd.config.document import SECRETS
from artifactd.config.effective import Config
from artifactd.config.problem import ConfigError
from artifactd.config.sources import gather

CANARY = "canary-5f1d"


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(path: Path, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return caught.value


def value_of(key: str, path: Path, **environ: str) -> tuple[str | None, str]:
    """The secret that reaches a destination, and its source, from what was gathered."""
    settings = gather(path, environ).settings
    if key not in settings:
        return None, "default"
    secret = settings[key].value
    return secret.text, settings[key].where  # type: ignore[attr-defined] # an object until it is checked


def test_no_secret_is_visible_in_a_configuration(tmp_path: Path) -> None:
    path = written(tmp_path / "config.toml", "".join(f'{key} = "{CANARY}"\n' for key in SECRETS))
    config = load(path, {})
    assert CANARY not in f"{config!r} {config} {config.effective()} {config.warnings} {config.digest}"
    assert {row.value for row in config.effective() if row.key in SECRETS} == {"set"}
    assert CANARY not in repr(gather(path, {}))


def test_the_digest_does_not_depend_on_a_secret(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        return load(written(tmp_path / "config.toml", text), {}).digest

    key = "artifacts_azure_sas_token"
    assert digest(f'{key} = "{CANARY}"') == digest(f'{key} = "other"') == digest("")


@pytest.mark.parametrize(
    "text",
    [
        *(f'{key} = ["{CANARY}"]' for key in sorted(SECRETS)),
        f'artifacts_azure_blob_acount_key = "{CANARY}"',
        f'artifacts_git_repo = "https://user:{CANARY}@example.org/x.git"',
        f'aws_s3_endpoint_url = "https://{CANARY}@example.org"',
        f'aws_s3_endpoint_url = "https://[{CANARY}"',
        f'[s3]\nendpoint_url = "https://{CANARY}@example.org"',
        f'[azure]\nendpoint_url = "https://example.org/?sv=1&sig={CANARY}"',
        f'artifacts_store = "azure"\nartifacts_azure_connection_string = "{CANARY}"',
        f'artifacts_store = "azure"\nartifacts_azure_connection_string = "AccountName={CANARY}"',
        f'artifacts_store = "azure"\nartifacts_azure_sas_token = "{CANARY}"',
        f'artifacts_store = "azure"\nartifacts_azure_blob_account_key = "{CANARY}"',
        "\n".join(('artifacts_store = "s3, azure"', *(f'{key} = "{CANARY}"' for key in sorted(SECRETS)))),
        f'[artifactd]\naws_secret_access_key = "{CANARY}"',
        f'[[policy]]\nname = "x"\nas = "{{"\n[s3]\naws_secret_access_key = "{CANARY}"',
        f'aws_secret_access_key = "{CANARY}"\nx = ',
        f'aws_secret_access_key = "{CANARY}\n',
    ],
)
def test_no_error_shows_a_secret(text: str, tmp_path: Path) -> None:
    error = refusal(written(tmp_path / "config.toml", text))
    told = "".join(traceback.format_exception(error))
    assert CANARY not in f"{error} {error!r} {told}"


def test_a_secret_reaches_its_destination(tmp_path: Path) -> None:
    text = f"""
        artifacts_store = "azure"
        artifacts_azure_blob_account_name = "account"
        artifacts_azure_sas_token = "sig={CANARY}"
        [azure]
        container = "exports"
        """
    (azure,) = load(written(tmp_path / "config.toml", text), {}).destinations
    assert isinstance(azure, Azure)
    assert azure.access.sas_token == f"sig={CANARY}"
    assert CANARY not in repr(azure)


def test_a_secret_is_set_in_one_way_only(tmp_path: Path) -> None:
    written(tmp_path / "secret", CANARY)
    text = f'aws_secret_access_key = "{CANARY}"\naws_secret_access_key_file = "secret"'
    told = "aws_secret_access_key_file: aws_secret_access_key is set as well; one of the two is enough"
    assert told in str(refusal(written(tmp_path / "config.toml", text)))


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_the_file_that_is_named(ending: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(f" {CANARY} ".encode() + ending.encode())
    (tmp_path / "password").chmod(0o600)
    path = written(tmp_path / "config.toml", 'artifacts_git_password_file = "password"')
    assert value_of("artifacts_git_password", path) == (f" {CANARY} ", f"{path} artifacts_git_password_file")
    config = load(path, {})
    assert config.warnings == ()
    assert CANARY not in repr(config)


def test_the_file_of_a_secret_can_be_named_by_the_environment(tmp_path: Path) -> None:
    written(tmp_path / "token", CANARY)
    path = written(tmp_path / "config.toml", 'artifacts_azure_sas_token = "lower"')
    environ = {"DRIVERLESS_AI_ARTIFACTS_AZURE_SAS_TOKEN_FILE": str(tmp_path / "token")}
    assert value_of("artifacts_azure_sas_token", path, **environ)[0] == CANARY


def test_credentials_of_systemd_go_before_the_file_and_after_the_environment(tmp_path: Path) -> None:
    key = "aws_secret_access_key"
    (tmp_path / "credentials").mkdir()
    written(tmp_path / "credentials" / key, CANARY, mode=0o440)
    written(tmp_path / "credentials" / "another-unit-s-own", "x")
    path = written(tmp_path / "config.toml", f'{key} = "lower"')
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert value_of(key, path) == ("lower", str(path))
    assert value_of(key, path, **credentials) == (CANARY, "$CREDENTIALS_DIRECTORY")
    environ = credentials | {"DRIVERLESS_AI_AWS_SECRET_ACCESS_KEY": "'upper'"}
    assert value_of(key, path, **environ)[0] == "upper"
    assert load(path, credentials).warnings == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not a text in UTF-8"),
        (CANARY.encode() * 10_000, "is longer than 65536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_a_problem(content: bytes | None, reason: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    path = written(tmp_path / "config.toml", 'aws_secret_access_key_file = "secret"')
    error = refusal(path)
    assert f"aws_secret_access_key_file: {tmp_path}/secret {reason}" in str(error)
    assert CANARY not in str(error)


def test_an_empty_secret_is_none_and_stands_beside_its_file(tmp_path: Path) -> None:
    text = 'aws_secret_access_key = ""\naws_secret_access_key_file = ""\n'
    assert shown(load(written(tmp_path / "config.toml", text), {}), "aws_secret_access_key") == "not set"


def shown(config: Config, key: str) -> str:
    return next(row.value for row in config.effective() if row.key == key)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_secret_that_others_can_read_is_a_warning(mode: int, warned: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a column of the table
    secret = written(tmp_path / "secret", CANARY, mode)
    inline = written(tmp_path / "inline.toml", f'aws_secret_access_key = "{CANARY}"', mode)
    beside = written(tmp_path / "beside.toml", 'aws_secret_access_key_file = "secret"', 0o644)
    for path, exposed in ((inline, inline), (beside, secret)):
        expected = (f"{exposed} holds a secret and others can read it; mend: chmod 600",) if warned else ()
        assert load(path, {}).warnings == expected


@pytest.mark.parametrize(
    ("said", "warned"), [(f'"{CANARY}"', True), (f"'{CANARY}'", True), (f'{CANARY}"', False)]
)
def test_a_secret_that_begins_and_ends_with_quotes_is_a_warning(
    said: str,
    warned: bool,  # noqa: FBT001 - a column of the table
    tmp_path: Path,
) -> None:
    written(tmp_path / "secret", said)
    path = written(tmp_path / "config.toml", 'aws_secret_access_key_file = "secret"')
    told = "aws_secret_access_key_file: the secret begins and ends with quotes, which are taken for a part"
    assert [one.startswith(f"{path}: {told}") for one in load(path, {}).warnings] == [True] * warned
    assert value_of("aws_secret_access_key", path)[0] == said


def test_a_missing_directory_of_credentials_is_a_problem(tmp_path: Path) -> None:
    error = refusal(written(tmp_path / "config.toml", ""), CREDENTIALS_DIRECTORY=str(tmp_path / "none"))
    assert f"$CREDENTIALS_DIRECTORY: {tmp_path}/none cannot be listed: No such file or directory" in str(
        error
    )


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("", []),
        (f'artifacts_azure_sas_token = "{CANARY}"', []),
        (
            f"""
            artifacts_store = ["s3", "azure"]
            artifacts_s3_bucket = "exports"
            aws_access_key_id = "id"
            aws_secret_access_key = "{CANARY}-s3"
            artifacts_azure_blob_account_name = "account"
            artifacts_azure_sas_token = "?sig={CANARY}%2f&se=2"
            azure.container = "exports"
            """,
            [f"{CANARY}-s3", f"?sig={CANARY}%2f&se=2", f"{CANARY}%2f", f"{CANARY}/"],
        ),
        (
            """
            artifacts_store = "azure"
            artifacts_azure_connection_string = "AccountName=a;AccountKey=YWJj;SharedAccessSignature=sig=x"
            azure.container = "exports"
            """,
            [
                "AccountName=a;AccountKey=YWJj;SharedAccessSignature=sig=x",
                "YWJj",
                "sig=x",
                "x",
            ],
        ),
    ],
)
def test_the_secrets_of_the_destinations_are_known_to_whoever_has_to_mask_them(
    text: str, secrets: list[str], tmp_path: Path
) -> None:
    assert list(load(written(tmp_path / "config.toml", text), {}).secrets()) == secrets
