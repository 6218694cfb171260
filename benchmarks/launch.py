"""Run a command and tell on stdout, as JSON, what it and its children cost.

The first argument is the file that gets what it says, the others are the command.

A process of its own, and a small one: what the kernel calls the peak memory of a command begins with the
memory of the process that started it.
"""

import json
import os
import sys
import time

began = time.monotonic()
process = os.posix_spawnp(
    sys.argv[2],
    sys.argv[2:],
    os.environ,
    file_actions=[(os.POSIX_SPAWN_OPEN, 1, sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)],
)
_, status, used = os.wait4(process, 0)
cost = {
    "wall": time.monotonic() - began,
    "cpu": used.ru_utime + used.ru_stime,
    "peak": used.ru_maxrss << 10,
    "code": os.waitstatus_to_exitcode(status),
}
print(json.dumps(cost))
