"""structlog as it is where rich is not installed.

It would draw tracebacks with it, and no log of ours has one drawn. rich takes longer to load than structlog,
and would stay in memory for as long as the daemon runs.
"""

import sys

_hides = "rich" not in sys.modules
if _hides:
    sys.modules["rich"] = None  # type: ignore[assignment] # how the import system is told that there is none

import structlog  # noqa: E402 - as the head says

if _hides:
    del sys.modules["rich"]

__all__ = ["structlog"]
