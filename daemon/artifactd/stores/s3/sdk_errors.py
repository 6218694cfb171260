"""What boto3 raises, in the store's words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from artifactd.stores.base import Denied, StoreError, Unavailable
from artifactd.stores.mends import Keys, mended
from artifactd.stores.s3.answers import meaning

KEYS: Final = Keys("aws_s3_endpoint_url", "s3_connector_cert_location")


@contextmanager
def answered(what: str, lost: type[StoreError] = Unavailable) -> Iterator[None]:
    """For a block that asks S3 for `what`. `lost` is raised where the request may have been acted on.

    Raises:
        StoreError: what the answer means, or that none came.
    """
    from botocore import exceptions as botocore  # noqa: PLC0415 - only who has asked needs it
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - as above

    try:
        yield
    except botocore.ClientError as error:
        metadata = error.response.get("ResponseMetadata", {})
        details = error.response.get("Error", {})
        raise meaning(
            metadata.get("HTTPStatusCode", 0),
            str(details.get("Code", "")),
            str(details.get("Message", "")),
            metadata.get("HTTPHeaders", {}),
            what,
            error.operation_name,
        ) from error
    except botocore.SSLError as error:
        raise Denied(mended(f"no TLS that is to be trusted: {error}", error, KEYS), what) from error
    except (
        botocore.ReadTimeoutError,
        botocore.ConnectionClosedError,
        botocore.IncompleteReadError,
        ResponseParserError,
    ) as error:
        raise lost(str(error), what) from error
    except (botocore.ConnectionError, botocore.HTTPClientError) as error:  # perhaps the proxy's fault
        raise Unavailable(mended(str(error), error, KEYS), what) from error
    except OSError as error:  # botocore's own are none, and no source is read by it
        where = f"{error.filename}: " if error.filename else ""
        raise Denied(f"the credentials cannot be had: {where}{error.strerror or error}", what) from error
    except (botocore.BotoCoreError, ValueError) as error:
        raise Denied(str(error), what) from error
