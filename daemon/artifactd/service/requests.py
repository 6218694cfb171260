"""What commands ask of a daemon that exports, and what they are answered."""

import os
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from artifactd.artifact import printable
from artifactd.decisions.shares import Owner
from artifactd.discovery.named import located
from artifactd.discovery.watch import Watch
from artifactd.mirror.answers import Principal, final
from artifactd.mirror.by_hand import Place, hint
from artifactd.mirror.engine import Engine
from artifactd.service.control import Request
from artifactd.service.lookup import hinted

MOST_WAITING: Final = 2_000
"""Files that are shown as waiting: some milliseconds of the thread that everything else waits for."""


def answer(request: Request, engine: Engine, watch: Watch, folders: Sequence[Place] = ()) -> None:
    """Answer a command. In the mirror's thread. Who is not trusted may hint, and ask for nothing else.

    `folders`: those of a hinted experiment.
    """
    fields, root = request.fields, engine.config.data_directory
    match request.action:
        case "hint":
            about = hinted(request), request.principal, request.answer
            hint(engine.mirror, engine.recorder, folders, *about)
        case "export":
            path, said = str(fields.get("path", "")), fields.get("name")
            name, principal = said if said is None else str(said), _principal(request)
            if request.trusted:
                engine.by_hand.ask(located(root, path), name, principal, request.answer)
            else:  # who may not ask does not learn by it what is there
                engine.by_hand.deny(os.fsencode(path), name, principal, _denied(request), request.answer)
        case _ if not request.trusted:
            request.answer(final(ok=False, reason=_denied(request)))
        case "waiting":
            request.answer(
                final(ok=True, **_waiting(engine, watch, fields.get("user"), fields.get("experiment")))
            )
        case unknown:
            request.answer(final(ok=False, reason=f"this daemon cannot {unknown!r}"))


def _denied(request: Request) -> str:
    return f"{request.principal} may hint, and ask for nothing else"


def _principal(request: Request) -> Principal:
    return Principal(request.principal, request.uid, str(request.fields.get("sudo_user") or ""))


def _waiting(engine: Engine, watch: Watch, user: object, experiment: object) -> Mapping[str, Any]:
    """The files that are waited for; of one user, or of one experiment, where one is given."""

    def chosen(owner: Owner) -> bool:
        return user in (None, owner.user) and experiment in (None, owner.experiment)

    shown = list(islice(engine.mirror.waiting(chosen), MOST_WAITING))
    out = {one.store: one.reason for one in engine.mirror.stores() if one.out_since is not None}
    why = "; ".join(f"it waits for {store}, which is out: {reason}" for store, reason in out.items())
    return {
        "waiting": [
            {
                "path": os.fsdecode(one.path),
                "source": printable(one.path),
                "size": one.size,
                "reason": (why if one.turn else "") or one.reason,
                "waited_seconds": round(one.seconds, 1),
                "overdue": one.overdue,
            }
            for one in shown
        ],
        "more": engine.mirror.count_waiting(chosen) - len(shown),
        "out": out,
        "watcher": watch.reason,
        "stepped_seconds": round(engine.mirror.stepped, 3),
    }
