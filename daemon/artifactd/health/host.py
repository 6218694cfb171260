"""Whether a request means this listener by the name in its Host (RFC 9110, 7.2). Pure.

A page in somebody's browser may have a name of its own lead to an address of ours ("DNS rebinding"), and read
what is answered. It comes with that name, so that names are believed where they are ours. An address needs no
belief: whoever asks by it is a page of that address.
"""

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

_LOCAL = "localhost"


def hosts(head: bytes) -> list[str]:
    """What the Host lines of a request say; its first line is passed over."""
    lines = (line.partition(b":") for line in head.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:])
    return [value.decode("latin-1").strip() for name, _, value in lines if name.strip().lower() == b"host"]


def ours(host: str, names: Collection[str]) -> bool:
    """Whether `host`, with a port or without, is an address, or the machine's own, or one of `names`."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        return name in (_LOCAL, *map(str.casefold, names)) or bool(ip_address(name))
    except ValueError:
        return False
