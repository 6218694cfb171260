"""kill -9 in the middle of a large copy to Azure costs the blocks that were on their way, and no others."""

import math
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final

from artifactd.ledger.ledger import Ledger
from artifactd.ledger.unfinished_uploads import LedgerUploadLog
from artifactd.stores.base import Result
from tests.servers.azure import AzureServer
from tests.servers.faults import Blackhole, Fault, Seen
from tests.servers.proxy import Proxy
from tests.support.containers import BLOCK, a_container, a_store
from tests.support.harness import only, pattern, put_file, receipt
from tests.support.process import until

BLOCKS: Final = 64
ARRIVE: Final = 30
CONTENT: Final = pattern(BLOCKS * BLOCK)


def put(url: str, place: tuple[str, str], folder: Path) -> list[Result]:
    """As a daemon whose ledger lies in `folder`."""
    server = AzureServer(url=url)
    container = a_container(server, place, url=url)
    with (
        closing(LedgerUploadLog(folder)) as upload_log,
        closing(a_store(server, place, container, upload_log=upload_log, block=BLOCK)) as store,
        (folder / "source").open("w+b") as file,
    ):
        return store.put([put_file("large.zip", folder / "source", CONTENT, file.fileno())])


def test_a_copy_that_was_killed_goes_on_where_it_was(azurite: AzureServer, tmp_path: Path) -> None:
    Ledger.open(tmp_path, {}).close()
    place = azurite.destination()
    with Proxy(azurite.url, checking=True) as proxy:

        def late(seen: Seen) -> bool:
            return seen.operation == "PutBlock" and proxy.operations().count("PutBlock") > ARRIVE

        proxy.faults.append(Fault(Blackhole(), late, math.inf))
        command = [sys.executable, "-m", "tests.stores.azure.test_deaths", proxy.url, *place, str(tmp_path)]
        with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as child:
            until(lambda: proxy.operations().count("PutBlock") >= ARRIVE + 4, "all hands wait for an answer")
            with closing(LedgerUploadLog(tmp_path)) as upload_log:
                (known,) = upload_log.unfinished("azure")
            child.kill()
        assert len(known.parts) == ARRIVE
        proxy.faults.clear()
        proxy.seen.clear()
        assert receipt(put(proxy.url, place, tmp_path)).written
        assert Counter(proxy.operations()) == {
            "HeadBlob": 2, "PutBlock": BLOCKS - ARRIVE, "PutBlockList": 1,
        }  # fmt: skip
    blob = azurite.client().get_blob_client(place[0], f"{place[1]}large.zip")
    assert blob.download_blob().readall() == CONTENT


if __name__ == "__main__":
    only(put(sys.argv[1], (sys.argv[2], sys.argv[3]), Path(sys.argv[4])))
