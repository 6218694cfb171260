"""A site whose store is a bucket on a real server, looked at with a plain client."""

from typing import Any

from tests.servers.proxy import Proxy
from tests.servers.s3 import ADMIN, REGION, Credentials, S3Server
from tests.support.process import Site

PART = 5 << 20
"""Bytes of a part of a large file."""


class Bucketed:
    """A site that exports to a place in a bucket, through a proxy that sees every request."""

    def __init__(self, site: Site, server: S3Server, proxy: Proxy) -> None:
        self.site, self.server, self.proxy = site, server, proxy
        self.bucket, self.prefix = server.destination()
        self._client = server.client()
        self.configure()

    def configure(
        self,
        *,
        bucket: str = "",
        credentials: Credentials = ADMIN,
        more: str = "",
        stores: str = "S3",
        **settings: Any,  # noqa: ANN401 - as Site.configure
    ) -> None:
        """Write config.toml. `more` is for the table of S3; `stores` are all that is exported to."""
        site = self.site
        site.environment |= {
            "DRIVERLESS_AI_ARTIFACTS_STORE": stores,
            "DRIVERLESS_AI_ARTIFACTS_S3_BUCKET": bucket or self.bucket,
            "DRIVERLESS_AI_AWS_ACCESS_KEY_ID": credentials.access_key,
            "DRIVERLESS_AI_AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "DRIVERLESS_AI_AWS_DEFAULT_REGION": REGION,
            "DRIVERLESS_AI_AWS_S3_ENDPOINT_URL": self.proxy.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        site.configure(
            f'[s3]\nprefix = "{self.prefix.rstrip("/")}"\naddressing_style = "path"\n'
            f'part_size = "5 MiB"\n{more}'
            "[retry]\nfirst_seconds = 0.2\ncap_seconds = 0.5\n",
            **settings,
        )

    def objects(self) -> dict[str, Any]:
        """Key → what the server says of the object; artifactd's own aside."""
        told = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix).get("Contents", ())
        keys = [one["Key"] for one in told]
        return {
            key.removeprefix(self.prefix): self._client.head_object(Bucket=self.bucket, Key=key)
            for key in keys
            if not key.removeprefix(self.prefix).startswith("_artifactd/")
        }

    def content(self, key: str) -> bytes:
        got: bytes = self._client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read()
        return got

    def plant(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=content)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def sent(self, operation: str) -> list[str]:
        """The targets of the requests for artifacts, in order."""
        found = [seen for seen in list(self.proxy.seen) if seen.operation == operation]
        return [seen.target for seen in found if "_artifactd" not in seen.target]
