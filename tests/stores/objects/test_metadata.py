"""What is kept beside an object's bytes, whatever the source is called."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd import __version__
from artifactd.artifact import Key
from artifactd.stores.base import About, Put, Source
from artifactd.stores.objects.metadata import MOST_BYTES, metadata
from tests.support.harness import a_put, digest

HOSTILE = (
    "é" * 3000,
    "a\r\nx-evil: 1",
    "\x00\x1b[31m",
    "\udcff",
    "  a  b  ",
    "%0d%0a",
    "=?utf-8?q?x?=",
    "x" * 4096,
)


def of(about: About) -> dict[str, str]:
    return metadata(replace(a_put("k", b"content"), about=about), "attempt-1")


def test_an_object_says_what_it_is_and_where_it_came_from() -> None:
    about = About("u/h2oai_experiment_e/mojo.zip", "u", "e", "mojo_pipeline")
    assert of(about) == {
        "sha256": digest(b"content"),
        "attempt": "attempt-1",
        "size": "7",
        "artifactd": __version__,
        "kind": "mojo_pipeline",
        "experiment": "e",
        "user": "u",
        "source": "u/h2oai_experiment_e/mojo.zip",
    }


def test_what_is_empty_is_left_out() -> None:
    assert set(of(About(source=" "))) == {"sha256", "attempt", "size", "artifactd"}


def test_a_source_that_finds_no_room_is_left_out_and_nothing_else() -> None:
    assert set(of(About("x" * 4096, "u", "e", "logs"))) == set(of(About("x", "u", "e", "logs"))) - {"source"}


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_is_escaped_or_left_out(value: str) -> None:
    assert_harmless(of(About(value, value, value, value)))


_ANY = st.text(st.characters(), max_size=2000)


@given(source=_ANY, user=_ANY, experiment=_ANY, kind=_ANY)
def test_any_notes_fit_into_headers(source: str, user: str, experiment: str, kind: str) -> None:
    assert_harmless(of(About(source, user, experiment, kind)))


def assert_harmless(told: dict[str, str]) -> None:
    assert {"sha256", "attempt", "size", "artifactd"} <= set(told)
    assert sum(len(name) + len(value) for name, value in told.items()) <= MOST_BYTES
    for name, value in told.items():
        assert re.fullmatch("[a-z0-9]+", name)
        assert re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", value)


def test_what_is_known_of_the_bytes_does_not_depend_on_where_they_came_from() -> None:
    put = Put(Key("k"), Source(0, b""), digest(b""))
    assert metadata(put, "a")["sha256"] == digest(b"")
