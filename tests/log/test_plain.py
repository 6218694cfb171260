"""structlog without rich."""

import subprocess
import sys

PROGRAM = """
import sys
import artifactd.log.log
print([name for name in sys.modules if name.startswith("rich")])
import rich.table
"""


def test_a_log_loads_no_rich_and_who_wants_it_later_finds_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
