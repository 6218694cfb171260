"""How a time is written."""

import pytest

from artifactd.clock import moment, rfc3339


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_763_900_000.9996, "2025-11-23T12:13:20.999Z"),
        (1_763_900_000, "2025-11-23T12:13:20.000Z"),
        (951_782_400.5, "2000-02-29T00:00:00.500Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_to_the_millisecond(at: float, text: str) -> None:
    assert rfc3339(at) == text


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-02", 86400.0),
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:00:30+01:00", 30.0),
        ("1970-01-01T00:00:30.5", 30.5),
        ("30s", 1_000_000.0 - 30),
        ("90min", 1_000_000.0 - 5400),
        ("1.5h", 1_000_000.0 - 5400),
        ("3d", 1_000_000.0 - 3 * 86400),
        ("1w", 1_000_000.0 - 7 * 86400),
    ],
)
def test_a_time_is_read_as_a_person_writes_it(text: str, at: float) -> None:
    assert moment(text, 1_000_000.0) == at


@pytest.mark.parametrize("text", ["", "yesterday", "3", "h", "1e999d", "2026-13-01", "3 parsecs"])
def test_what_is_no_time_is_told_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time: write 2026-11-24, .* 90min"):
        moment(text, 0.0)
