"""Which Host is the listener's own."""

import pytest

from artifactd.health.host import hosts, ours


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3:9817", True),
        ("[::1]:9817", True),
        ("localhost:1", True),
        ("LOCALHOST.", True),
        ("gpu1:9817", True),
        ("artifactd.example.com", True),
        ("ARTIFACTD.example.com:80", True),
        ("gpu1.example.com", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("artifactd.example.com@evil.example", False),
        ("evil.example", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_an_address_is_its_own_and_so_are_the_names_it_was_given(host: str, *, own: bool) -> None:
    assert ours(host, ["gpu1", "Artifactd.example.com"]) is own


def test_every_host_line_is_heard_and_what_follows_the_request_is_not() -> None:
    said = b"GET / HTTP/1.1\r\nhOsT : a \r\nX-Host: x\r\nHost:b\r\n\r\nHost: c"
    assert hosts(said) == ["a", "b"]
