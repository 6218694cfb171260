"""Somebody at a daemon's control socket who hints without a pause, and says nothing on many connections.

Run as `pester.py <socket> <experiment> <hinting> <silent>`; it goes on until it is killed.
"""

import contextlib
import json
import socket
import sys
import threading


def hint(address: str, experiment: str) -> None:
    """Ask, wait for the answer, ask again."""
    said = json.dumps({"action": "hint", "experiment": experiment}).encode() + b"\n"
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5.0)
            client.connect(address)
            client.sendall(said)
            client.recv(4096)


def say_nothing(address: str) -> None:
    """Hold a connection for as long as the daemon lets it be, then make another."""
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60.0)
            client.connect(address)
            client.recv(1)


if __name__ == "__main__":
    ADDRESS, EXPERIMENT, HINTING, SILENT = sys.argv[1:]
    for _ in range(int(SILENT)):
        threading.Thread(target=say_nothing, args=(ADDRESS,), daemon=True).start()
    for _ in range(int(HINTING)):
        threading.Thread(target=hint, args=(ADDRESS, EXPERIMENT), daemon=True).start()
    threading.Event().wait()
