"""What a value may look like: tables of Driverless AI's quirks and of ours."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import Kind
from artifactd.config import values
from artifactd.config.destinations.kinds import StoreKind
from artifactd.config.destinations.s3 import Encryption
from artifactd.config.problem import nearest
from tests.support.parsing import taken

FS, S3 = StoreKind.FILE_SYSTEM, StoreKind.S3
REFUSED = object()


def parsed(parse: Callable[[object], object], value: object) -> object:
    """What `parse` makes of `value`; REFUSED where it raises and says what is allowed."""
    try:
        return parse(value)
    except ValueError as error:
        return REFUSED if str(error) else error


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((text, True) for text in (True, 1, "true", "True", "TRUE", " true ", "1")),
        *((text, False) for text in (False, 0, "false", "False", "0")),
        *((text, REFUSED) for text in ("", "yes", "on", 2, 1.0, None, "truetrue", [True])),
    ],
)
def test_a_boolean_is_written_in_every_way_that_driverless_ai_allows(written: object, meant: object) -> None:
    assert parsed(values.boolean, written) is meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("file_system", (FS,)),
        ("S3", (S3,)),
        ("File_System, s3", (FS, S3)),
        ("['s3','file_system']", (S3, FS)),
        ('[ "s3" ]', (S3,)),
        (["s3", "FILE_SYSTEM"], (S3, FS)),
        (["s3", "S3"], (S3,)),
        *((text, REFUSED) for text in ("", "[]", [], "hdfs", "s3,,", ["s3", 3], 3, None, {"s3": 1})),
    ],
)
def test_a_list_is_an_array_or_commas_or_a_literal_inside_a_text(written: object, meant: object) -> None:
    assert parsed(values.names_of(StoreKind), written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0, 0),
        (512, 512),
        ("512", 512),
        ("512 B", 512),
        ("20 MiB", 20 * 2**20),
        ("20MiB", 20 * 2**20),
        ("1.5 GB", 1_500_000_000),
        ("1.5 kib", 1536),
        ("8 PiB", 2**53),
        *(
            (text, REFUSED)
            for text in ("", "-1", -1, True, 1.5, "1.5", "0.3 B", "20 M", "20 XB", "1e3", "9999999 PB")
        ),
    ],
)
def test_a_size_is_bytes_or_a_text_with_a_unit(written: object, meant: object) -> None:
    assert parsed(values.size, written) == meant


@given(st.integers(0, 2**63 - 1))
def test_every_size_reads_the_same_as_a_number_and_as_a_text(count: int) -> None:
    assert values.size(f"{count} B") == values.size(count) == count


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0444", 0o444),
        ("640", 0o640),
        *(
            (mode, REFUSED)
            for mode in (444, 0o444, "", "0044", "0o444", "4444", "0888", " 0444", "-444", True)
        ),
    ],
)
def test_permissions_are_octal_digits_in_quotes_that_let_the_owner_in(written: object, meant: object) -> None:
    assert parsed(values.mode(0o400), written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (2, 2.0),
        (0.5, 0.5),
        ("2.5", 2.5),
        (60, 60.0),
        *(
            (value, REFUSED)
            for value in (0, -1, 60.1, "nan", float("nan"), float("inf"), True, "", "2 s", 10**400)
        ),
    ],
)
def test_seconds_are_more_than_zero_and_bounded(written: object, meant: object) -> None:
    assert parsed(values.seconds(60), written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [(1, 1), ("64", 64), *((value, REFUSED) for value in (0, 65, "-1", 2.0, True, "", "2.0", None))],
)
def test_a_whole_number_is_neither_a_boolean_nor_a_fraction(written: object, meant: object) -> None:
    assert parsed(values.whole(1, 64), written) == meant


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("", True),
        ("https://bitbucket.example/scm/a/b.git", True),
        ("ssh://git@bitbucket.example/a/b.git", True),
        ("git@bitbucket.example:a/b.git", True),
        ("/srv/git/b.git", True),
        ("https://user:password@bitbucket.example/b.git", False),
        ("https://token@bitbucket.example/b.git", False),
        ("ssh://git:password@bitbucket.example/b.git", False),
        ("https://[::1/b.git", False),
    ],
)
def test_an_address_holds_no_password(address: str, allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    assert (parsed(values.address, address) == address) is allowed


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ('"a"', "a"),
        ("'a'", "a"),
        ("''a''", "'a'"),
        ('""', ""),
        ("\"a'", "\"a'"),
        ('"', '"'),
        ("a", "a"),
        ("", ""),
    ],
)
def test_one_balanced_pair_of_outer_quotes_is_taken_off(written: str, bare: str) -> None:
    assert values.unquoted(written) == bare


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not set"),
        (True, "true"),
        (2.0, "2.0"),
        (values.Mode(0o444), '"0444"'),
        (("a", "b"), '["a", "b"]'),
        ('a "b"\n', r'"a \"b\"\n"'),
        ("\x1b[2J\u202e", r'"\u001b[2J\u202e"'),
    ],
)
def test_a_value_is_shown_as_toml_writes_it(value: object, text: str) -> None:
    assert values.shown(value) == text


@pytest.mark.parametrize(
    ("word", "other"),
    [("mojo_pipelin", "mojo_pipeline"), ("mojo", "mojo_pipeline"), ("log", "logs"), ("x", None), ("", None)],
)
def test_a_misspelled_or_shortened_word_is_recognised(word: str, other: str | None) -> None:
    assert nearest(word, Kind) == other


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ({"team": "risk"}, '{ team = "risk" }'),
        ({"cost center": 'a"', "x": ""}, '{ "cost center" = "a\\"", x = "" }'),
    ],
)
def test_tags_are_shown_as_toml_writes_them(value: object, text: str) -> None:
    assert values.shown(value) == text


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("5 MiB", 5 * 2**20),
        (5 * 2**20, 5 * 2**20),
        ("5 GiB", 5 * 2**30),
        ("5 MB", None),
        (5 * 2**30 + 1, None),
    ],
)
def test_a_size_may_have_bounds(written: object, meant: int | None) -> None:
    parse = values.size_within("5 MiB", "5 GiB")
    assert taken(parse, written) is (meant is not None)
    assert meant is None or parse(written) == meant


def test_a_name_is_found_in_any_case_of_its_own() -> None:
    parse = values.one_of(Encryption)
    assert [parse(word) for word in ("AES256", "aes256", "AWS:KMS", "none")] == [
        "AES256",
        "AES256",
        "aws:kms",
        "none",
    ]
    with pytest.raises(ValueError, match="none, AES256, aws:kms; did you mean AES256\\?"):
        parse("AES-256")
