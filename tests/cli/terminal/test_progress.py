"""What a person is told of how far it is: nothing that is not known."""

from dataclasses import replace

import pytest

from artifactd.cli.terminal.progress import Progress

MIB = 1 << 20


def going(progress: Progress, seconds: int) -> Progress:
    """A copy of a MiB ends in each of so many seconds."""
    progress = progress.at(0.0)
    for second in range(1, seconds + 1):
        progress = progress.ended(MIB).at(float(second))
    return progress


@pytest.mark.parametrize(
    ("progress", "sentence"),
    [
        (Progress(), "looking: 0 files"),
        (Progress(looked_at=5000), "looking: 5000 files"),
        (Progress(3, 3 * MIB, looked_at=9), "looking: 9 files, 3 to do (3.0 MiB)"),
        (
            going(Progress(5, 9 * MIB, looked_at=9), 2),
            "looking: 9 files, 2 copies done (2.0 MiB), 3 to do (7.0 MiB), 1.0 MiB/s",
        ),
        (Progress(whole=True), "nothing to do"),
        (Progress(4, 4 * MIB, whole=True), "0 %, 0 of 4 copies, 0 B of 4.0 MiB"),
        (
            going(Progress(4, 4 * MIB, whole=True), 1),
            "25 %, 1 of 4 copies, 1.0 MiB of 4.0 MiB, 1.0 MiB/s",
        ),
        (
            going(Progress(4, 4 * MIB, whole=True), 3),
            "75 %, 3 of 4 copies, 3.0 MiB of 4.0 MiB, 1.0 MiB/s, 1 s left",
        ),
        (
            going(Progress(5000, 5000 * MIB, whole=True), 20),
            "0 %, 20 of 5000 copies, 20.0 MiB of 4.9 GiB, 1.0 MiB/s, 83 min left",
        ),
        (
            going(Progress(50_000, 50_000 * MIB, whole=True), 20),
            "0 %, 20 of 50000 copies, 20.0 MiB of 48.8 GiB, 1.0 MiB/s, 14 h left",
        ),
        (going(Progress(2, 2 * MIB, whole=True), 2), "100 %, 2 of 2 copies, 2.0 MiB of 2.0 MiB, 1.0 MiB/s"),
        (Progress(2, 0, 1, 0, whole=True), "50 %, 1 of 2 copies, 0 B of 0 B"),
        (Progress(bytes=4 * MIB, whole=True).ended(MIB, copies=0), "25 %, 1.0 MiB of 4.0 MiB"),
        (Progress(1, 9, whole=True, idle=True, quiet=1), "waiting for 1 file to stay unchanged"),
        (
            Progress(5, 9 * MIB, 2, 2 * MIB, whole=True, idle=True, quiet=2, unfinished=1),
            "waiting for 2 files to stay unchanged, 1 not complete, 2 copies done (2.0 MiB)",
        ),
        (Progress(1, 9, whole=True, idle=True, unfinished=1), "1 not complete"),
        (Progress().more(5).more(6).less(5), "looking: 0 files, 1 to do (6 B)"),
    ],
)
def test_a_sentence_says_what_is_known_and_no_share_before_all_was_looked_at(
    progress: Progress, sentence: str
) -> None:
    assert progress.sentence() == sentence


def test_a_rate_is_smoothed() -> None:
    steady = going(Progress(100, 100 * MIB, whole=True), 30)
    jump = steady.ended(20 * MIB).at(31.0)
    assert steady.rate == pytest.approx(MIB)
    assert jump.rate is not None
    assert MIB < jump.rate < 4 * MIB


def test_nothing_is_said_of_a_rate_once_nothing_has_ended_for_long() -> None:
    progress = going(Progress(100, 100 * MIB, whole=True), 10)
    assert progress.at(20.0).rate is not None
    assert progress.at(30.0).rate is None
    assert "left" not in progress.at(30.0).sentence()
    assert progress.at(30.0).ended(MIB).at(31.0).rate is not None


def test_time_in_which_there_is_only_waiting_slows_no_rate_down() -> None:
    progress = going(Progress(100, 100 * MIB, whole=True), 10)
    assert progress.at(11.0).rate != pytest.approx(MIB)
    assert replace(progress, idle=True).at(11.0).rate == pytest.approx(MIB)
