"""From failures so far to the seconds before the next try, or to giving up. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with equal jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Half of each wait is fixed and half is drawn, so that no retry comes at once.
    """

    first_seconds: float = 1.0
    cap_seconds: float = 600.0
    give_up_after: int = 1000
    """failures; at the default cap that is about five days"""

    def seconds(self, failures: int, u: float) -> float | None:
        """Seconds until the next try; None: give up.

        `failures` (≥ 1) came in a row. `u` in [0, 1) draws the jitter.
        """
        if failures >= self.give_up_after:
            return None
        doublings = min(failures - 1, 40)  # 2**40 seconds is past any cap; more would overflow a float
        ceiling = min(self.cap_seconds, self.first_seconds * 2.0**doublings)
        return ceiling * (0.5 + 0.5 * u)
