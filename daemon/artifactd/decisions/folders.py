"""Whose folder at a destination is whose, where the names of two users may be one there. Pure."""

from collections.abc import Iterable
from unicodedata import normalize


class Folders:
    """The first user who exports has the folder of his name; another whose name is taken for it has none.

    Two names are one where they differ only in how their characters are composed, as every key has them in
    one form, and with `ignore_case` where they differ only in case. `users`: those on record, oldest first.
    """

    def __init__(self, users: Iterable[str], *, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        self._first = dict[str, str]()
        for user in users:
            self.denied(user)

    def denied(self, user: str) -> str | None:
        """Why this user gets no folder; None: he has it, from now on."""
        name = normalize("NFC", user)
        first = self._first.setdefault(normalize("NFC", name.casefold()) if self._ignore_case else name, user)
        if first == user:
            return None
        how = "only in how its characters are composed" if normalize("NFC", first) == name else "only in case"
        return (
            f"user {user!a} would share the folder of user {first!a}, whose name differs {how}:"
            " have one of the two renamed"
        )
