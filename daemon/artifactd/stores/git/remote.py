"""The remote repository: who it is, who we are to it, and the settings that keep git to just that.

The settings stand in the clone's own configuration file, which is written anew at each start. They go to no
server: a `file` remote runs its hooks and syncs its disk by its own configuration.
"""

import os
import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from artifactd.config.destinations.git import Repository
from artifactd.config.destinations.git_address import Protocol

_SECONDS_TO_CONNECT: Final = 30
_SECONDS_OF_SILENCE: Final = 60
"""after which a connection that moves nothing is given up"""

_POST: Final = 32 << 20
"""Bytes up to which a push goes in one piece: many a server in between takes no other (http.postBuffer)."""

LARGE: Final = 1 << 20
"""Bytes from which git streams a file into a pack, and looks for no similar one (core.bigFileThreshold)."""


@dataclass(frozen=True, slots=True)
class Remote(Repository):
    """A repository that git talks to."""

    _credential: list[int] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, repository: Repository) -> "Remote":
        """The remote that this repository is."""
        return cls(*(getattr(repository, each.name) for each in fields(repository)))

    @property
    def ref(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}"

    @property
    def env(self) -> dict[str, str]:
        """What lets git go to the network, by this remote's protocol alone."""
        return {"GIT_ALLOW_PROTOCOL": self.address.protocol.value}

    def credential(self) -> tuple[int, ...]:
        """The descriptor that git's helper reads user and password from: memory that only children inherit.

        Nothing where there is no password, or the protocol takes none.
        """
        if self.password is None or self.address.protocol is not Protocol.HTTPS:
            return ()
        if not self._credential:
            fd = os.memfd_create("artifactd-credential")
            os.write(fd, f"username={self.user}\npassword={self.password.text}\n".encode())
            self._credential.append(fd)
        return tuple(self._credential)

    def ssh(self) -> list[str]:
        """The ssh command: no configuration of the account's, no question, and no host that is not known."""
        return ["ssh", "-F", "none", *(f"-o{name}={value}" for name, value in _ssh_options(self).items())]

    def close(self) -> None:
        """Forget the password's memory."""
        while self._credential:
            os.close(self._credential.pop())

    def settings(self) -> str:
        """The clone's configuration file (git-config(1))."""
        return "".join(f"{name} = {_quoted(value)}\n" for name, value in _flat(self))


def _flat(remote: Remote) -> list[tuple[str, str]]:
    """Every setting as (lines that open its section, and its name; value)."""
    return [
        (f"{opening}\n\t{name}", value)
        for opening, values in _sections(remote).items()
        for name, value in values
    ]


def _sections(remote: Remote) -> dict[str, list[tuple[str, str]]]:
    return {
        "[core]": [
            ("repositoryFormatVersion", "1"),
            ("bare", "true"),
            ("fsync", "none"),  # the clone is thrown away after a power cut: see clone.py
            ("looseCompression", "0"),
            ("bigFileThreshold", str(LARGE)),
            ("hooksPath", os.devnull),
            ("attributesFile", os.devnull),
            ("logAllRefUpdates", "false"),
            ("protectHFS", "true"),
            ("protectNTFS", "true"),
            ("askPass", ""),
            ("sshCommand", shlex.join(remote.ssh())),
        ],
        "[extensions]": [("partialClone", "origin")],
        '[remote "origin"]': [
            ("url", remote.address.url),
            ("promisor", "true"),
            ("partialCloneFilter", "blob:none"),
        ],
        "[credential]": [("helper", "")],
        **_https(remote),
        "[pack]": [("compression", "1"), ("threads", "1")],
        "[gc]": [("auto", "0")],
        "[maintenance]": [("auto", "false")],
        "[fetch]": [("recurseSubmodules", "false"), ("unpackLimit", "1"), ("writeCommitGraph", "false")],
        "[push]": [("recurseSubmodules", "no"), ("gpgSign", "false")],
        "[protocol]": [("version", "2"), ("allow", "never")],
        f'[protocol "{remote.address.protocol}"]': [("allow", "always")],
        "[transfer]": [("credentialsInUrl", "die")],
        "[ssh]": [("variant", "ssh")],
        "[advice]": [("pushUpdateRejected", "false")],
    }


def _https(remote: Remote) -> dict[str, list[tuple[str, str]]]:
    if remote.address.protocol is not Protocol.HTTPS:
        return {}
    here = _quoted(f"https://{remote.address.host}")
    helper = "".join(f'!f() {{ test "$1" = get && cat /dev/fd/{fd}; }}; f' for fd in remote.credential())
    return {
        "[http]": [
            ("followRedirects", "false"),
            ("sslVerify", "true"),
            ("postBuffer", str(_POST)),
            ("lowSpeedLimit", "1"),
            ("lowSpeedTime", str(_SECONDS_OF_SILENCE)),
            *([("sslCAInfo", str(remote.ca_file))] if remote.ca_file else ()),
        ],
        f"[http {here}]": [("sslVerify", "false")] if remote.skip_cert_verification else [],
        f"[credential {here}]": [("helper", helper)] if helper else [],
    }


def _ssh_options(remote: Remote) -> dict[str, str]:
    """As in ssh_config(5)."""
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": str(_SECONDS_TO_CONNECT),
        "ServerAliveInterval": str(_SECONDS_OF_SILENCE // 4),
        "ServerAliveCountMax": "4",
        "ForwardAgent": "no",
        "ClearAllForwardings": "yes",
        "UpdateHostKeys": "no",
    }
    if remote.known_hosts:
        options |= {"UserKnownHostsFile": _ssh_path(remote.known_hosts), "GlobalKnownHostsFile": "none"}
    if remote.ssh_key:
        options |= {
            "IdentityFile": _ssh_path(remote.ssh_key),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
        }
    if not remote.address.user and remote.user:
        options["User"] = remote.user
    return options


def _ssh_path(path: Path) -> str:
    """A path in the words of ssh_config(5): quoted for its spaces, its % doubled."""
    return '"' + str(path).replace("%", "%%") + '"'


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
