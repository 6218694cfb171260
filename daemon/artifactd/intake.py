"""What a sighting means: which artifact it is, and which copies of it are wanted by the policy or by a person."""

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass, field

from artifactd.artifact import Artifact, Key
from artifactd.layout import Place, artifact, place
from artifactd.lifecycle import Row, State
from artifactd.policy import BY_HAND, Decision, LeftAlone, Policy, Wanted

_UNFINISHED = (State.UPLOADING, State.RETRYING)


@dataclass(slots=True)
class Intake:
    """Knows the layout, the policy, and what people asked for by hand since the start."""

    data_directory: bytes
    policy: Policy
    user: str | None
    """the user where the layout has none; None: the folder's owner"""
    asked: dict[bytes, str | None] = field(default_factory=dict)
    """path → the name that a person gave the copy, None for the file's own"""
    _owners: dict[bytes, str] = field(default_factory=dict)

    def artifact(self, path: bytes) -> Artifact | None:
        """The artifact at `path`; None where it is no part of an experiment."""
        found = place(path)
        return None if found is None else artifact(path, found, self._user(found))

    def decide(self, found: Artifact, size: int) -> Decision:
        """What the policy wants of a file of `size` bytes; where it was asked for by hand, what the person wants."""
        if found.path in self.asked:
            return self.policy.by_hand(found, size, self.asked[found.path])
        return self.policy.decide(found, size)

    def copies(self, decision: Decision, rows: Sequence[Row]) -> list[Wanted]:
        """The copies that `decision` asks for, and those that a person asked for earlier and that are not done.

        A rule that ignores the artifact now ends those too.
        """
        if isinstance(decision, LeftAlone) and decision.on_record:
            return []
        wanted = [decision] if isinstance(decision, Wanted) else []
        by_hand = {
            row.wanted_key for row in rows if row.rule == BY_HAND and row.state in _UNFINISHED and row.key
        }
        by_hand -= {copy.key.text for copy in wanted}
        return wanted + [Wanted(Key(key), BY_HAND) for key in sorted(by_hand)]

    def _user(self, found: Place) -> str:
        if found.user is not None:
            return found.user.decode("utf-8", "surrogateescape")
        if self.user is not None:
            return self.user
        if found.folder not in self._owners:
            self._owners[found.folder] = self._owner(found.folder)
        return self._owners[found.folder]

    def _owner(self, folder: bytes) -> str:
        try:
            uid = os.lstat(self.data_directory + b"/" + folder).st_uid
        except OSError:
            return "unknown"  # the folder is gone, and with it the artifact: nobody will read this
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"uid-{uid}"
