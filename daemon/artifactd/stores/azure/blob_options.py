"""How blobs are to be kept: tier, immutability, legal hold, tags. Pure."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote, urlencode

from artifactd.config.destinations.azure import AzureTable, ImmutabilityMode


def headers(asked: AzureTable, now: float) -> dict[str, str]:
    """The headers of what makes a blob ("Put Blob", Azure Storage REST API); `now`: since the epoch."""
    until = datetime.fromtimestamp(now, UTC) + timedelta(days=asked.immutability_days)
    locked = asked.immutability_mode is not ImmutabilityMode.NONE
    told = {
        "x-ms-access-tier": asked.access_tier,
        "x-ms-immutability-policy-mode": asked.immutability_mode.value if locked else "",
        "x-ms-immutability-policy-until-date": dated(until) if locked else "",
        "x-ms-legal-hold": "true" if asked.legal_hold else "",
        "x-ms-tags": urlencode(asked.tags, quote_via=quote),
    }
    return {name: value for name, value in told.items() if value}


def dated(moment: datetime) -> str:
    """A moment in UTC as HTTP writes it (RFC 9110, 5.6.7)."""
    return format_datetime(moment, usegmt=True)
