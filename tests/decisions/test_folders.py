"""Users whose names are one at a destination."""

import pytest

from artifactd.decisions.folders import Folders

NFC, NFD = "jos\u00e9", "jose\u0301"


@pytest.mark.parametrize(
    ("first", "second", "ignore_case", "because"),
    [
        (
            NFC,
            NFD,
            False,
            r"'jose\u0301' would share the folder of user 'jos\xe9'",
        ),
        (NFD, NFC, False, "only in how its characters are composed"),
        (
            "Alice",
            "alice",
            True,
            "'alice' would share the folder of user 'Alice'",
        ),
        (NFC.upper(), NFD, True, "only in case"),
        ("Alice", "alice", False, None),
        ("alice", "bob", True, None),
        ("alice", "alice", True, None),
    ],
)
def test_of_two_users_whose_names_are_one_the_second_gets_no_folder(
    first: str, second: str, because: str | None, *, ignore_case: bool
) -> None:
    folders = Folders([], ignore_case=ignore_case)
    assert folders.denied(first) is None
    denied = folders.denied(second)
    assert denied is None if because is None else because in str(denied)
    assert folders.denied(first) is None
    on_record = Folders([second, first], ignore_case=ignore_case)
    assert on_record.denied(second) is None
    assert (on_record.denied(first) is None) == (because is None)
