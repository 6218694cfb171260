"""What is read out of any server's answer, whatever it holds."""

import pytest

from artifactd.stores.http.answers import PAUSE_SECONDS, element, elsewhere, pause


@pytest.mark.parametrize(
    ("wish", "usual", "least_wanted"),
    [
        ("", PAUSE_SECONDS, 0.0),
        ("0", PAUSE_SECONDS, 0.0),
        (" 7 ", 7.0, 7.0),
        ("-1", PAUSE_SECONDS, 0.0),
        ("²", PAUSE_SECONDS, 0.0),
        ("9" * 400, PAUSE_SECONDS, 0.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", PAUSE_SECONDS, 0.0),
    ],
)
def test_a_pause_is_whole_seconds_and_no_shorter_than_is_usual(
    wish: str, usual: float, least_wanted: float
) -> None:
    assert pause(wish) == usual
    assert pause(wish, least=0.0) == least_wanted


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<Error><Code>SlowDown</Code></Error>", "SlowDown"),
        (b"<Code>a &lt; b</Code><Code>second</Code>", "a &lt; b"),
        (b"<Code>\xff</Code>", "\ufffd"),
        (b"<Code>cut", ""),
        (b" " * 4096 + b"<Code>late</Code>", ""),
        (b"", ""),
    ],
)
def test_an_element_is_read_from_the_start_of_a_body(body: bytes, text: str) -> None:
    assert element("Code", body) == text


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://user:secret@portal.example:8443/login?secret#secret", " to https://portal.example:8443"),
        ("http://[::1]:9000/", " to http://[::1]:9000"),
        ("//portal.example/login", " to //portal.example"),
        ("/login?secret", ""),
        ("http://[broken/", ""),
        ("", ""),
    ],
)
def test_where_a_redirect_leads_is_told_as_a_host_alone(location: str, told: str) -> None:
    assert elsewhere({"location": location} if location else {}) == told
