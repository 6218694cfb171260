"""What a sighting means: which artifact it is, and which copies of it the policy or a person wants."""

import os
from dataclasses import dataclass, field

from artifactd.artifact import Artifact, Sighting
from artifactd.decisions.assessment import Subject
from artifactd.decisions.layout import Place, artifact, place
from artifactd.decisions.policy import Decision, Policy
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

    def subject(self, sighting: Sighting) -> Subject | None:
        """The file with what is wanted of it; None as for `artifact`."""
        found = self.artifact(sighting.path)
        if found is None:
            return None
        decision = self.decide(found, sighting.identity.size)
        return Subject(sighting, found, decision, asked=sighting.path in self.asked)

    def owner(self, path: bytes) -> str:
        """Who takes turns for what is at `path`: its user, or the folder at the top that it lies in."""
        found = place(path)
        user = None if found is None else self._user(found)
        return os.fsdecode(path.partition(b"/")[0]) if user is None else user

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
