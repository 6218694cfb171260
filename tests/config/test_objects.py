"""What the values of an object store may look like: tables of what the services take and refuse."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import Key
from artifactd.config import objects, values
from artifactd.config.destination import Encryption


def taken(parse: Callable[[object], object], value: object) -> bool:
    """Whether `parse` takes the value; one that it refuses it says what is allowed instead."""
    try:
        parse(value)
    except ValueError as error:
        return not str(error)
    return True


@pytest.mark.parametrize(
    ("parse", "value", "right"),
    [
        *(
            (objects.bucket, name, True)
            for name in ("", "abc", "a-b.c", "0.1", "1.2.3", "12345", "a.-b", "x" * 63, "exports-s3alias")
        ),
        *(
            (objects.bucket, name, False)
            for name in (
                "ab",
                "x" * 64,
                "Abc",
                "a_b",
                "-ab",
                "ab.",
                "a..b",
                "10.0.0.1",
                "s3://abc",
                "abc/d",
                3,
            )
        ),
        *((objects.container, name, True) for name in ("", "abc", "a-b-c", "012", "x" * 63)),
        *(
            (objects.container, name, False)
            for name in ("ab", "x" * 64, "Abc", "a_b", "a.b", "a--b", "-ab", "ab-", "abc/d", "abc\n", None)
        ),
        *((objects.account, name, True) for name in ("", "abc", "devstoreaccount1", "x" * 24)),
        *((objects.account, name, False) for name in ("ab", "x" * 25, "a-b", "Abc", "abc.example/", "abc٣")),
        *((objects.region, name, True) for name in ("", "eu-central-1", "us-gov-west-1", "garage", "Ort")),
        *((objects.region, name, False) for name in ("eu central", "eu-", "x.example/", "x" * 64)),
        *((objects.suffix, name, True) for name in ("core.windows.net", "local")),
        *((objects.suffix, name, False) for name in ("", ".core.windows.net", "https://x", "x.net/", "x?y")),
        *((objects.bucket_owner, owner, True) for owner in ("", "012345678901")),
        *((objects.bucket_owner, owner, False) for owner in ("12345", 123456789012, "1234-5678-9012")),
        *((objects.word, name, True) for name in ("", "STANDARD_IA", "arn:aws:kms:eu-central-1:1:key/a-b")),
        *((objects.word, name, False) for name in ("a b", "a\r\nx-evil: 1", "é", "\x7f")),
    ],
)
def test_a_name_is_what_the_service_takes(
    parse: Callable[[object], object],
    value: object,
    right: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert taken(parse, value) is right


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ""),
        ("exports", "exports"),
        ("a/b c/ü", "a/b c/ü"),
        ("u\u0308", "ü"),
        *((text, None) for text in ("/a", "a/", "a//b", "../a", ".a", "a\n", "x" * 256, 3)),
    ],
)
def test_a_prefix_is_a_key_without_slashes_at_its_ends(written: object, meant: str | None) -> None:
    assert taken(objects.prefix, written) is (meant is not None)
    assert meant is None or objects.prefix(written) == meant


@given(st.text())
def test_a_prefix_that_is_taken_makes_keys(written: str) -> None:
    if written and taken(objects.prefix, written):
        assert Key(f"{objects.prefix(written)}/user").text == f"{objects.prefix(written)}/user"


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("", True),
        ("https://s3.example.org", True),
        ("http://127.0.0.1:10000/devstoreaccount1", True),
        ("https://[::1]:9000/", True),
        *(
            (address, False)
            for address in (
                "s3.example.org",
                "s3.example.org:9000",
                "ftp://s3.example.org",
                "https://",
                "https:///x",
                "https://x:port",
                "https://x:99999",
                "https://x/?sv=1&sig=1",
                "https://x/#",
                "https://x/ ",
                "https://user@x",
                3,
            )
        ),
    ],
)
def test_an_endpoint_is_a_web_address_with_nothing_secret(address: object, right: bool) -> None:  # noqa: FBT001 - a column of the table
    assert taken(objects.endpoint, address) is right


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({}, {}),
        ("", {}),
        ("{}", {}),
        ({"team": "risk"}, {"team": "risk"}),
        ("team=risk, retention = 7y", {"retention": "7y", "team": "risk"}),
        ('{ team = "risk", empty = "" }', {"empty": "", "team": "risk"}),
        ("formula=a=b", {"formula": "a=b"}),
        ({"n" * 128: "v" * 256}, {"n" * 128: "v" * 256}),
        ({str(number): "" for number in range(10)}, {str(number): "" for number in range(10)}),
        *(
            (value, None)
            for value in (
                "team",
                "team=risk,",
                "team=risk,team=models",
                "=risk",
                "team=r;isk",
                3,
                ["team"],
                {"team": 7},
                {"": "x"},
                {"n" * 129: ""},
                {"n": "v" * 257},
                {"team": "risk\n"},
                {str(number): "" for number in range(11)},
            )
        ),
    ],
)
@pytest.mark.parametrize("parse", [objects.s3_tags, objects.azure_tags])
def test_tags_are_a_table_or_pairs_in_a_text(
    parse: Callable[[object], dict[str, str]], written: object, meant: dict[str, str] | None
) -> None:
    assert taken(parse, written) is (meant is not None)
    assert meant is None or list(parse(written).items()) == list(meant.items())


@pytest.mark.parametrize(
    ("name", "s3", "azure"),
    [("a@b", True, False), ("ü", True, False), ("aws:x", False, True), ("a:/+- =_.", True, True)],
)
def test_each_service_has_characters_of_its_own_for_tags(name: str, s3: bool, azure: bool) -> None:  # noqa: FBT001 - columns of the table
    assert (taken(objects.s3_tags, {name: "x"}), taken(objects.azure_tags, {name: "x"})) == (s3, azure)


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
