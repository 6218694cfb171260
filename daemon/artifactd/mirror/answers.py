"""What whoever asks the daemon is answered: one JSON object after the other, the last of them final."""

from collections.abc import Callable, Mapping
from typing import Any, Final

Answer = Callable[[Mapping[str, Any]], None]
"""Takes one answer after the other; the last one has `final` true, and `ok`. It never blocks."""

DISABLED: Final = "enable_artifacts_upload is false: nothing is exported"


def final(*, ok: bool, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The last answer, and whether what was asked for is done; where it is not, `reason` says why."""
    return {"final": True, "ok": ok, **fields}
