"""Copy a tree with obstore, as a short program of its users would.

    python obstore_copy.py s3|azure DATA ENDPOINT BUCKET PREFIX

obstore lives in an environment of its own, whose Python runs this. Credentials come from the environment.
"""

import asyncio
import os
import sys
from pathlib import Path

import obstore  # type: ignore[import-not-found]  # not in the environment that mypy sees
from obstore.store import AzureStore, S3Store  # type: ignore[import-not-found]  # as above

_AT_A_TIME = 64
"""files under way; a large one is sent in up to twelve parts at a time"""


async def copy(kind: str, data: Path, endpoint: str, bucket: str, prefix: str) -> None:
    """Put every file below `data`."""
    kinds = {"s3": S3Store, "azure": AzureStore}
    store = kinds[kind](bucket, prefix=prefix, endpoint=endpoint, client_options={"allow_http": True})
    free = asyncio.Semaphore(_AT_A_TIME)

    async def put(file: Path) -> None:
        async with free:
            await obstore.put_async(store, str(file.relative_to(data)), file)

    async with asyncio.TaskGroup() as tasks:
        for folder, _, names in os.walk(data):
            for name in names:
                tasks.create_task(put(Path(folder, name)))


if __name__ == "__main__":
    asyncio.run(copy(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
    os._exit(0)  # its threads outlive the interpreter now and then, which aborts then
