"""Which of many files does the server not want? Its rules refuse a push as a whole, whatever is in it."""

from collections.abc import Callable, Sequence
from typing import Final

from artifactd.stores.base import Receipt, Unacceptable
from artifactd.stores.git.answers import Declined
from artifactd.stores.git.delivery import CommitDelivery, Verdicts

_ENOUGH: Final = 3
"""Single files that are refused before any is taken: then it is not the file."""


def apart(
    deliveries: Sequence[CommitDelivery], push: Callable[[Sequence[CommitDelivery]], Verdicts]
) -> Verdicts:
    """Push all at once; where a rule of the server refuses that, in halves, down to the files it refuses.

    Raises:
        Declined, Unacceptable: the server takes none of them.
        StoreError: of `push`. What was pushed before is recognised at the next try.
    """
    waiting, verdicts = [list(deliveries)], Verdicts()
    refused: dict[CommitDelivery, Declined | Unacceptable] = {}
    while waiting:
        batch = waiting.pop()
        try:
            verdicts |= push(batch)
        except (Declined, Unacceptable) as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                waiting += [batch[middle:], batch[:middle]]
                continue
            refused[batch[0]] = error
            if len(refused) >= _ENOUGH and not _any_taken(verdicts):
                raise
    if refused and not _any_taken(verdicts):
        raise next(iter(refused.values()))
    return verdicts | {one: Unacceptable(str(error), one.put.key) for one, error in refused.items()}


def _any_taken(verdicts: Verdicts) -> bool:
    return any(isinstance(result, Receipt) and result.written for result in verdicts.values())
