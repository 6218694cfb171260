"""What whoever asks the daemon is answered: one JSON object after the other, the last of them final."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from artifactd.artifact import printable

Answer = Callable[[Mapping[str, Any]], None]
"""Takes one answer after the other; the last one has `final` true, and `ok`. It never blocks."""


class Principal(NamedTuple):
    """Who asks for something."""

    account: str
    """its name, as the kernel and the system's accounts say"""
    uid: int
    """its number"""
    sudo_user: str = ""
    """who called sudo, as that told the command: anybody may set it, so it is a claim and no proof"""

    def fields(self) -> dict[str, str | int]:
        """For the record."""
        claim = {"sudo_user": printable(self.sudo_user)} if self.sudo_user else {}
        return {"principal": self.account, "principal_uid": self.uid, **claim}


NO_PART: Final = "it is no part of an experiment in the data directory"

DISABLED: Final = "enable_artifacts_upload is false: nothing is exported"


def final(*, ok: bool, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The last answer, and whether what was asked for is done; where it is not, `reason` says why."""
    return {"final": True, "ok": ok, **fields}
