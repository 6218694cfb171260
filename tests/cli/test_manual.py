"""The pages of the manual."""

import pytest

from artifactd.cli import commands
from artifactd.cli.manual import manual


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name → text."""
    directory = tmp_path_factory.mktemp("manual") / "man1"
    manual(directory)
    return {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}


def test_there_is_a_page_for_artifactd_and_one_for_each_command(pages: dict[str, str]) -> None:
    names = {f"artifactd-{path.replace(' ', '-')}.1" for path in commands()}
    assert pages.keys() == {"artifactd.1", *names}
    assert all(f"\\fB{name[:-2]}".replace("-", "\\-") in pages["artifactd.1"] for name in names)


def test_a_page_has_what_the_help_has(pages: dict[str, str]) -> None:
    page = pages["artifactd-list.1"].replace("\\-", "-")
    for text in (
        "artifactd-list - List the exported artifacts",
        ".SH SYNOPSIS",
        "\\fB-l, --details\\fR",
        "\\fB--kind KIND\\fR",
        "One of: summary, logs, mojo_pipeline,",
        "\\fB-v, --verbose\\fR",
        "\\fBartifactd list --since 2h\\fR",
        ".SH EXIT STATUS",
        "the ledger or the state directory cannot be used, or there is no ledger yet",
    ):
        assert text in page
    assert "\\fBPATH\\fR" in pages["artifactd-explain.1"]


def test_nothing_in_a_page_is_a_request_by_chance(pages: dict[str, str]) -> None:
    requests = {line.split()[0] for text in pages.values() for line in text.splitlines() if line[:1] in "'."}
    assert requests == {".TH", ".SH", ".PP", ".TP"}
