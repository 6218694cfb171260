"""Which of many files does the server not want? Its rules refuse a push as a whole, whatever is in it."""

from collections.abc import Callable, Sequence
from typing import Final

from artifactd.stores.base import Receipt, Unacceptable
from artifactd.stores.git.answers import Declined
from artifactd.stores.git.delivery import CommitDelivery, Verdicts

_ENOUGH: Final = 3
"""Single files that are refused before any is taken: then it may not be the files."""


def apart(
    deliveries: Sequence[CommitDelivery],
    push: Callable[[Sequence[CommitDelivery]], Verdicts],
    ask: Callable[[], None],
) -> Verdicts:
    """Push all at once; where a rule of the server refuses that, in halves, down to the files it refuses.

    Where only refusals were heard, `ask` pushes without any file, and raises what the server says to that.

    Raises:
        StoreError: of `push`, or of `ask`: the server takes nothing at all. What was pushed before is
            recognised at the next try.
    """
    waiting, verdicts = [list(deliveries)], Verdicts()
    refused: dict[CommitDelivery, Declined | Unacceptable] = {}
    takes = False
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
        takes = takes or any(isinstance(one, Receipt) and one.written for one in verdicts.values())
        in_doubt = any(isinstance(error, Declined) for error in refused.values())
        if in_doubt and not takes and (len(refused) >= _ENOUGH or not waiting):
            ask()
            takes = True
    return verdicts | {one: Unacceptable(error.reason, one.put.key) for one, error in refused.items()}
