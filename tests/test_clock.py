"""How a time is written."""

import pytest

from artifactd.clock import rfc3339


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
