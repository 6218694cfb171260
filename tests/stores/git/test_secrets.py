"""The password is known to the daemon, to git's helper for a moment, and to the server."""

import logging
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.config.values import Hidden
from artifactd.stores.base import StoreError
from tests.servers.git.https import PASSWORD, USER, https
from tests.servers.git.repository import Repository
from tests.servers.git.stores import store_on
from tests.servers.tls import Authority
from tests.support.harness import a_put, only, receipt

CANARY = PASSWORD.encode()


def exposed() -> Iterator[str]:
    """Where in the processes of this machine the password can be read, this one aside."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            for name in ("cmdline", "environ"):
                try:
                    content = (process / name).read_bytes()
                except OSError:
                    continue
                if CANARY in content:
                    yield f"{name} of {(process / 'comm').read_text().strip()}"


@pytest.mark.parametrize("password", [PASSWORD, f"{PASSWORD}-wrong"])
def test_the_password_is_seen_in_no_process_no_file_and_no_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    authority: Authority,
    password: str,
) -> None:
    monkeypatch.setenv("DRIVERLESS_AI_ARTIFACTS_GIT_PASSWORD", password)
    caplog.set_level(logging.DEBUG)
    repository = Repository(tmp_path / "root" / "repository.git")
    found: list[str] = []
    with https(repository.path.parent, authority.good.context()) as server:
        server.on_request = lambda: found.extend(exposed())
        store = store_on(
            server.url(),
            tmp_path / "home",
            {"user": USER, "password": Hidden(password), "ca_file": authority.ca_file},
        )
        result = only(store.put([a_put("u/e/k", b"new")]))
        files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
        assert [path for path in files if CANARY in path.read_bytes()] == []
        store.close()
        assert len(server.seen) > 1
    assert found == []
    said = "".join(traceback.format_exception(result)) if isinstance(result, StoreError) else ""
    assert PASSWORD not in said + caplog.text + repr(store.__dict__)
    assert isinstance(result, StoreError) == (password != PASSWORD)


def test_git_of_the_account_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its configuration, hooks, helpers and variables are those of a person, not of the daemon."""
    mark = tmp_path / "mark"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-push", "post-update", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (hooks / name).chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        f"[core]\n hooksPath = {hooks}\n attributesFile = {tmp_path}/attributes\n autocrlf = true\n"
        f'[url "file:///nowhere/"]\n insteadOf = file://\n[credential]\n helper = "!touch {mark}"\n'
        "[commit]\n gpgSign = true\n[push]\n default = mirror\n"
    )
    (tmp_path / "attributes").write_text("* filter=evil text=auto ident\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_WORK_TREE", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(hooks))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {mark}")
    repository = Repository(tmp_path / "repository.git")
    store = store_on(str(repository.path), tmp_path / "home")
    content = b"line\r\nline\n$Id$\n"
    receipt(store.put([a_put("u/e/k", content)]))
    store.close()
    assert repository.contents() == {"u/e/k": content}
    assert not mark.exists()


def test_no_child_is_started_with_the_daemons_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even env(1), which starts git: it is looked into by standing in its place."""
    tools, seen = tmp_path / "tools", tmp_path / "seen"
    tools.mkdir()
    (tools / "env").write_text(
        f'#!/bin/sh\ncat /proc/$$/environ /proc/$$/cmdline >> {seen}\nexec /usr/bin/env "$@"\n'
    )
    (tools / "env").chmod(0o755)
    repository = Repository(tmp_path / "repository.git")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("DRIVERLESS_AI_ARTIFACTS_GIT_PASSWORD", PASSWORD)
    monkeypatch.setenv("https_proxy", f"http://user:{PASSWORD}@proxy.example")
    store = store_on(str(repository.path), tmp_path / "home")
    receipt(store.put([a_put("k", b"new")]))
    store.close()
    assert b"PATH=" in seen.read_bytes()
    assert CANARY not in seen.read_bytes()


def test_a_hook_that_is_planted_in_the_clone_does_not_run(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository.git")
    store = store_on(str(repository.path), tmp_path / "home")
    receipt(store.put([a_put("k", b"new")]))
    (place,) = (tmp_path / "home").iterdir()
    hook = place / "repository.git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/mark\n")
    hook.chmod(0o755)
    receipt(store.put([a_put("l", b"new")]))
    store.close()
    assert not (tmp_path / "mark").exists()


def test_the_hooks_of_the_remote_run(tmp_path: Path) -> None:
    """They are the server's rules. Only the daemon's own account has none."""
    repository = Repository(tmp_path / "repository.git")
    hook = repository.path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ncat > {tmp_path}/received\n")
    hook.chmod(0o755)
    store = store_on(str(repository.path), tmp_path / "home")
    receipt(store.put([a_put("k", b"new")]))
    store.close()
    assert re.fullmatch(r"0{40} [0-9a-f]{40} refs/heads/dev\n", (tmp_path / "received").read_text())
