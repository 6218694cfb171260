import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import KEY_BYTES, NAME_BYTES, Artifact, InvalidKey, Key, Kind, printable


@pytest.mark.parametrize(
    "text",
    [
        "mojo.zip",
        "user name/e/ leading and inner.csv",
        "josé@例え.jp/наука/😀.csv",
        "a..b/c./~d/e-f/git/git~/agit~1",
        "x" * NAME_BYTES,
        "é" * 127 + "x",
        "/".join(["x" * 255] * 3 + ["x" * 254, "x"]),
    ],
)
def test_a_key_keeps_its_text(text: str) -> None:
    assert str(Key(text)) == text
    assert Key.of(*text.split("/")) == Key(text)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "empty part"),
        ("/a", "empty part"),
        ("a/", "empty part"),
        ("a//b", "empty part"),
        ("..", "starts with a dot"),
        ("a/../b", "starts with a dot"),
        ("a/./b", "starts with a dot"),
        (".git/config", "starts with a dot"),
        (".artifactd/tmp/x", "starts with a dot"),
        ("-rf", "starts with a dash"),
        ("a/--force", "starts with a dash"),
        ("git~1/config", "git"),
        ("a/GIT~12", "git"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\u2028b", "control"),
        ("g\u200cit", "invisible"),
        ("a\u202egnp.exe", "invisible"),
        ("x" * (NAME_BYTES + 1), "255 bytes"),
        ("é" * 128, "255 bytes"),
        ("ab/" * 341 + "ab", "1024 are allowed"),
        ("a\ud800", "UTF-8"),
        ("e\u0301", "NFC"),
    ],
)
def test_what_is_no_key_says_why(text: str, because: str) -> None:
    with pytest.raises(InvalidKey, match=because) as caught:
        Key(text)
    assert str(caught.value).isascii()


def test_no_control_and_no_format_character_gets_into_a_key() -> None:
    # Arabic's and Kaithi's signs before a number are format characters that can be seen.
    visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    unseen = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Zl", "Zp"}
        and code not in visible
        and code < 0x13430
    ]
    assert len(unseen) > 90
    for character in unseen:
        with pytest.raises(InvalidKey):
            Key(f"a{character}b")


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("a\u3164b", "no person can see"),
        ("a\ufe0fb", "no person can see"),
        ("a\U000e0100b", "no person can see"),
        ("a\u034fb", "no person can see"),
        ("\u115fb", "no person can see"),
        ("a.csv ", "ends with a blank"),
        ("a.csv\u00a0", "ends with a blank"),
        ("a.csv\u3000", "ends with a blank"),
        ("a.csv\u2800", "ends with a blank"),
        ("a.csv.", "ends with a blank or a dot"),
        ("folder /a.csv", "ends with a blank"),
        ("a\\b.csv", "holds a backslash"),
        ("c:", "like a drive"),
        ("C:a.csv", "like a drive"),
        ("folder/z:b/a.csv", "like a drive"),
        (" a b.csv", None),
        ("12:30:00.csv", None),
        ("abc:d.csv", None),
        ("a..b.csv", None),
        ("josé 😀 例え.csv", None),
    ],
)
def test_a_key_that_may_deceive_says_so_and_is_one(name: str, because: str | None) -> None:
    deception = Key.of("alice", "one", *name.split("/")).deception
    assert (deception is None) == (because is None)
    assert (because or "") in (deception or "")
    assert (deception or "").isascii()


# Default_Ignorable_Code_Point of DerivedCoreProperties.txt, Unicode 15.0: 4,174 code points.
IGNORABLE = (
    "AD 34F 61C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 "
    "FFF0-FFF8 1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)


def test_nothing_that_the_standard_calls_ignorable_is_in_a_new_key_or_shown_as_it_is() -> None:
    bounds = [[int(end, 16) for end in one.split("-")] for one in IGNORABLE.split()]
    unseen = [chr(code) for ends in bounds for code in range(ends[0], ends[-1] + 1)]
    assert len(unseen) == 4174
    for character in unseen:
        assert printable(f"a{character}b").isascii()
        try:
            key = Key(unicodedata.normalize("NFC", f"a{character}b"))
        except InvalidKey:
            continue
        assert key.deception is not None


def test_the_parts_of_a_key_are_brought_to_one_spelling() -> None:
    assert Key.of("jose\u0301", "e") == Key("jos\u00e9/e")


@pytest.mark.parametrize("parts", [(), ("a/b", "c"), ("a", ""), ("a", ".."), ("a", "\ud8ff")])
def test_hostile_parts_make_no_key(parts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidKey):
        Key.of(*parts)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_a_key_of_any_parts_stays_below_its_root_or_is_refused(parts: list[str]) -> None:
    try:
        key = Key.of(*parts)
    except InvalidKey:
        return
    assert key.text.split("/") == [unicodedata.normalize("NFC", part) for part in parts]
    assert len(key.text.encode()) <= KEY_BYTES
    assert not any(part.startswith((".", "-")) or not part for part in key.text.split("/"))


def test_a_key_knows_its_name_and_takes_another() -> None:
    key = Key("u/e/mojo.zip")
    assert key.name == "mojo.zip"
    assert key.renamed("jose\u0301") == Key("u/e/jos\u00e9")
    assert Key("mojo.zip").renamed("b") == Key("b")
    for name in ("", "..", "a/b"):
        with pytest.raises(InvalidKey):
            key.renamed(name)


@pytest.mark.parametrize(("inside", "name"), [(b"mojo_pipeline/mojo.zip", b"mojo.zip"), (b"a.csv", b"a.csv")])
def test_an_artifact_knows_the_name_of_its_file(inside: bytes, name: bytes) -> None:
    assert Artifact(b"u/h2oai_experiment_e/" + inside, "u", "e", inside, Kind.OTHER).name == name


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"u/e/mojo.zip", "u/e/mojo.zip"),
        ("josé 😀".encode(), "josé 😀"),
        (b"a\xffb", r"a\xffb"),
        (rb"a\xffb", r"a\\xffb"),
        (b"a\x85b", r"a\x85b"),
        ("a\x85b".encode(), r"a\u0085b"),
        (rb"a\x0ab", r"a\\x0ab"),
        (b"a\nb\x1b[2J\x7f", r"a\x0ab\x1b[2J\x7f"),
        ("a\u202eb\u2028".encode(), r"a\u202eb\u2028"),
        ("a\U000e0041".encode(), r"a\U000e0041"),
    ],
)
def test_a_path_is_shown_without_what_could_deceive(path: bytes, shown: str) -> None:
    assert printable(path) == shown


@given(st.binary())
def test_a_name_as_text_is_shown_as_its_bytes_are(path: bytes) -> None:
    assert printable(path.decode("utf-8", "surrogateescape")) == printable(path).replace("\\\\", "\\")


@given(st.binary(), st.binary())
def test_no_two_names_are_shown_alike(one: bytes, other: bytes) -> None:
    hostile = printable(one).encode(), printable(other).encode()
    for first, second in ((one, other), (one, hostile[0]), (hostile[0], hostile[1])):
        assert (printable(first) == printable(second)) == (first == second)


@given(st.binary())
def test_a_name_that_was_made_printable_stays_as_it_is(path: bytes) -> None:
    assert printable(printable(path)) == printable(path)


@given(st.binary())
def test_what_is_shown_is_always_printable_text(path: bytes) -> None:
    shown = printable(path)
    shown.encode()
    assert not any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in shown)
