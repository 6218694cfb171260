"""Who may ask the daemon for what."""

import json
import subprocess
import sys

from tests.support.process import Site

STRANGER = """
import json, os, sys
from artifactd.service import control
from collections.abc import Iterator
from pathlib import Path
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(json.dumps(next(control.ask(Path(sys.argv[1]), sys.argv[2], experiment="one", path=sys.argv[3]))))
"""


def test_a_stranger_may_hint_and_ask_for_nothing_else(open_site: Site) -> None:
    site = open_site
    path = site.write("report_abcde_tmp/report.docx")

    def asks(action: str) -> dict[str, object]:
        command = [sys.executable, "-c", STRANGER, str(site.state), action, str(path)]
        answer: dict[str, object] = json.loads(subprocess.check_output(command))
        return answer

    with site.daemon() as daemon:
        site.state.chmod(0o711)
        (site.state / "control.sock").chmod(0o666)
        assert asks("hint")["ok"]
        refused = [asks(action) for action in ("export", "waiting", "anything")]
        assert not any(answer["ok"] for answer in refused)
        assert all("may hint, and ask for nothing else" in str(answer["reason"]) for answer in refused)
        assert daemon.hear("hint.received")["principal"] == "nobody"
        (tried,) = (
            json.loads(line) for line in site.ok("audit", "--action", "export.requested").splitlines()
        )
        assert (tried["principal"], tried["outcome"], tried["source"]) == ("nobody", "failure", str(path))
    assert site.exported() == {}
