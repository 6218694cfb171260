"""What the values of object stores have in common: tables of what the services take and refuse."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from artifactd.artifact import Key
from artifactd.config.destinations import objects
from artifactd.config.destinations.azure import azure_tags
from artifactd.config.destinations.s3 import s3_tags
from tests.support.parsing import taken


@pytest.mark.parametrize(
    ("parse", "value", "right"),
    [
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


@example("driverless-ai/prod")
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
@pytest.mark.parametrize("parse", [s3_tags, azure_tags])
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
    assert (taken(s3_tags, {name: "x"}), taken(azure_tags, {name: "x"})) == (s3, azure)
