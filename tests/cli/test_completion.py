"""Completion, as a shell asks for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifactd.cli import COMPLETE
from artifactd.cli.completion import Shell, completion
from tests.support.process import Site

_PRESSES = """
eval "$(artifactd completion bash)"
for words in "artifactd rel" "artifactd list --st" "artifactd list --state ref"; do
    COMP_WORDS=($words)
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _artifactd_completion artifactd
    echo "${COMPREPLY[@]}"
done
"""


def test_bash_completes_commands_options_and_their_values(site: Site) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", _PRESSES],
        capture_output=True,
        text=True,
        check=True,
        env={**site.environment, "PATH": path},
    )
    assert done.stdout.splitlines() == ["reload", "--state --store", "refused"]


@pytest.mark.parametrize("shell", Shell)
def test_each_shell_gets_a_script_that_asks_artifactd(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(COMPLETE, "")  # and as it was, afterwards
    with pytest.raises(SystemExit, match="0"):
        completion(shell)
    assert f"{COMPLETE}=complete_{shell}" in capsys.readouterr().out
