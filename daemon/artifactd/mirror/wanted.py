"""What a sighting means: which artifact it is, and which copies of it the policy or a person wants."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from artifactd.artifact import Artifact, Key
from artifactd.decisions.layout import Place, artifact, place
from artifactd.decisions.lifecycle import Row
from artifactd.decisions.policy import BY_HAND, Decision, LeftAlone, Policy, Wanted
from artifactd.linux.files import account


@dataclass(slots=True)
class Selection:
    """Knows the layout, the policy, and what people asked for by hand since the start."""

    data_directory: bytes
    policy: Policy
    user: str | None
    """the user where the layout has none; None: the owner of the experiment's folder"""
    asked: dict[bytes, str | None] = field(default_factory=dict)
    """path → the name that a person gave the copy, None for the file's own"""
    _names: dict[int, str] = field(default_factory=dict)
    """uid → the account's name"""

    def artifact(self, path: bytes) -> Artifact | None:
        """The artifact at `path`; None where it is no part of an experiment, or nobody knows its user."""
        found = place(path)
        user = None if found is None else self._user(found)
        return None if found is None or user is None else artifact(path, found, user)

    def decide(self, found: Artifact, size: int) -> Decision:
        """What the policy wants of a file of `size` bytes; if a person asked for it, what they want."""
        if found.path in self.asked:
            return self.policy.by_hand(found, size, self.asked[found.path])
        return self.policy.decide(found, size)

    def copies(self, decision: Decision, rows: Sequence[Row]) -> list[Wanted]:
        """The copies that `decision` asks for, and unfinished ones that a person asked for earlier.

        A rule that ignores the artifact now ends those too.
        """
        if isinstance(decision, LeftAlone) and decision.on_record:
            return []
        wanted = [decision] if isinstance(decision, Wanted) else []
        by_hand = {row.wanted_key for row in rows if row.rule == BY_HAND and row.unfinished and row.key}
        by_hand -= {copy.key.text for copy in wanted}
        return wanted + [Wanted(Key(key), BY_HAND) for key in sorted(by_hand)]

    def _user(self, found: Place) -> str | None:
        if found.user is not None:
            return found.user.decode("utf-8", "surrogateescape")
        return self._owner(found.folder) if self.user is None else self.user

    def _owner(self, folder: bytes) -> str | None:
        """Whose folder it is; None where it cannot be looked at: gone, or on a disk that is not mounted."""
        try:
            uid = os.lstat(self.data_directory + b"/" + folder).st_uid
        except OSError:
            return None
        if uid not in self._names:
            self._names[uid] = account(uid, nameless="uid-")  # part of a key: without a space
        return self._names[uid]
