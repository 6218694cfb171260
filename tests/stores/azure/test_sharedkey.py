"""Our signature of a request is the one that azure-storage-blob makes."""

import base64
from typing import Any
from urllib.parse import quote

from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.rest import HttpRequest
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy
from hypothesis import given
from hypothesis import strategies as st

from artifactd.stores.azure.sharedkey import authorization

BY_SDK: Any = SharedKeyCredentialPolicy  # which has no types

VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(str.strip)
NAMES = st.from_regex("[ab0]{1,2}(-[ab0]{1,2}){0,2}", fullmatch=True)  # few letters, whose order matters
OWN = st.lists(NAMES, unique_by=lambda name: name.replace("-", ""), max_size=6).flatmap(
    lambda names: st.fixed_dictionaries({f"x-ms-{name}": VISIBLE for name in names})
)
STANDARD = st.fixed_dictionaries(
    {},
    optional={
        "content-md5": VISIBLE,
        "content-type": VISIBLE,
        "if-match": VISIBLE,
        "if-none-match": st.just("*"),
        "content-length": st.integers(0, 10**10).map(str),
    },
)
QUERIES = st.dictionaries(
    st.sampled_from(["comp", "blockid", "restype", "timeout", "prefix"]), st.text(min_size=1, max_size=20)
)


def by_sdk(url: str, headers: dict[str, str], account: str, key: bytes) -> Any:  # noqa: ANN401 - as the SDK
    request = HttpRequest("PUT", url, headers=headers)
    policy = BY_SDK(account, base64.b64encode(key).decode())
    policy.on_request(PipelineRequest(request, PipelineContext(None)))
    return request.headers["Authorization"]


@given(
    key=st.binary(min_size=1, max_size=64),
    account=st.from_regex("[a-z0-9]{3,24}", fullmatch=True),
    blob=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    queried=QUERIES,
    own=OWN,
    standard=STANDARD,
)
def test_a_request_is_signed_as_by_the_sdk(  # noqa: PLR0917 - hypothesis gives them by name
    key: bytes,
    account: str,
    blob: str,
    queried: dict[str, str],
    own: dict[str, str],
    standard: dict[str, str],
) -> None:
    path = "/container/" + quote(blob, safe="/~")
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in queried.items())
    url = f"https://{account}.blob.core.windows.net{path}" + (f"?{pairs}" if pairs else "")
    headers = {**own, **standard}
    assert authorization("PUT", path, queried, headers, account, key) == by_sdk(url, headers, account, key)


def test_a_signature_names_the_account_and_hides_the_key() -> None:
    told = authorization("PUT", "/c/k", {}, {"x-ms-date": "now"}, "artifacts", b"secret")
    assert told.startswith("SharedKey artifacts:")
    assert base64.b64encode(b"secret").decode() not in told
