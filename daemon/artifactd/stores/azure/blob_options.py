"""How blobs are to be kept: tier, immutability, legal hold, tags. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote, urlencode


@dataclass(frozen=True, slots=True)
class Storing:
    """What is asked for each blob ("Put Blob", Azure Storage REST API). What is empty is left out."""

    access_tier: str = ""
    """ "Hot", "Cool", "Cold" or "Archive" """
    immutability_mode: str = ""
    """ "unlocked" or "locked" """
    immutability_days: int = 0
    legal_hold: bool = False
    tags: tuple[tuple[str, str], ...] = ()

    def headers(self, now: float) -> dict[str, str]:
        """The headers of what makes a blob; `now` is seconds since the epoch."""
        until = datetime.fromtimestamp(now, UTC) + timedelta(days=self.immutability_days)
        told = {
            "x-ms-access-tier": self.access_tier,
            "x-ms-immutability-policy-mode": self.immutability_mode,
            "x-ms-immutability-policy-until-date": dated(until) if self.immutability_mode else "",
            "x-ms-legal-hold": "true" if self.legal_hold else "",
            "x-ms-tags": urlencode(self.tags, quote_via=quote),
        }
        return {name: value for name, value in told.items() if value}


def dated(moment: datetime) -> str:
    """A moment in UTC as HTTP writes it (RFC 9110, 5.6.7)."""
    return format_datetime(moment, usegmt=True)
