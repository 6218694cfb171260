"""What the help of each command ends with, and its page of the manual: examples and exit codes."""

from collections.abc import Mapping
from typing import Final

from artifactd.cli.exits import Exit

EXAMPLES: Final[Mapping[str, Mapping[str, str]]] = {
    "run": {"artifactd run --config /etc/artifactd/config.toml": "as the service does, in the foreground"},
    "sync": {
        "artifactd sync": "export what is there, for example from cron",
        "artifactd sync --wait 0": "wait for nothing that is still being written",
    },
    "export": {
        "artifactd export alice/h2oai_experiment_ID/report.docx": "a file that no rule names",
        "artifactd export report.docx --as board.docx": "under another name",
        "artifactd export --experiment ID": "all of it that the policy wants",
    },
    "hint": {"artifactd hint ID": "from one of Driverless AI's listeners_…_done hooks"},
    "retry": {
        "artifactd retry alice/h2oai_experiment_ID/train_preds.csv": "one file, once its cause is mended",
        "artifactd retry --all": "everything, after a store was down for long",
    },
    "list": {
        "artifactd list --since 2h": "what happened in the last two hours",
        "artifactd list --state refused --state kept --state lost -l": "what needs a person, in full",
        "artifactd list --user alice --sort size --limit 10": "the ten largest of a user",
        "artifactd list --json": "for a script",
    },
    "explain": {
        "artifactd explain alice/h2oai_experiment_ID/summary.zip": "why is it, or is it not, exported?",
    },
    "plan": {
        "artifactd plan": "before the first sync, and after a change of the rules",
        "artifactd plan --all": "what is left alone, too, and by which rule",
    },
    "demo": {"artifactd demo": "needs no configuration"},
    "status": {
        "artifactd status": "the first thing to ask when something seems wrong",
        "artifactd status --json": "for a monitor that cannot read /metrics",
    },
    "verify": {
        "artifactd verify": "the record, and each copy by its store's checksum",
        "artifactd verify --read --sample 5": "read every byte of a twentieth of the copies",
    },
    "audit": {
        "artifactd audit > record.jsonl": "the whole record, which proves itself",
        "artifactd audit --after 1000": "what came after entry 1000",
        "artifactd audit --user alice --action artifact.exported --since 2026-11-01": "a part of it",
        "artifactd audit --action export.requested --format csv": "who asked for what by hand",
        "artifactd audit --since 24h --format ocsf": "for a SIEM",
    },
    "check": {"artifactd check --config ./config.toml": "before the service is started; as its account"},
    "reload": {"artifactd reload": "after a change of the configuration, or of a secret"},
    "install-service": {
        "artifactd install-service --print": "look at the files first",
        "artifactd install-service --config /etc/artifactd/config.toml": "put them in place",
    },
    "uninstall-service": {"artifactd uninstall-service": "exports, record and configuration stay"},
    "show": {"artifactd config show": "what holds, and where it came from"},
    "manual": {"artifactd manual /usr/local/share/man/man1": "then: man artifactd, man artifactd-list"},
    "completion": {
        "artifactd completion bash > /etc/bash_completion.d/artifactd": "for all accounts",
        "artifactd completion zsh > /usr/local/share/zsh/site-functions/_artifactd": "the same for zsh",
        "artifactd completion fish > ~/.config/fish/completions/artifactd.fish": "for one's own fish",
    },
}
"""Command → a command line → what it is for."""

_CONFIGURED: Final = {Exit.USAGE: None, Exit.CONFIGURATION: None}
_READING: Final = {**_CONFIGURED, Exit.STATE: None}

CODES: Final[Mapping[str, Mapping[Exit, str | None]]] = {
    "run": {
        Exit.OK: "it was told to stop, and has finished what was in flight",
        Exit.FAILED: "nobody reads its log any more",
        **_CONFIGURED,
        Exit.CONFIGURATION: "the configuration is wrong, or health.listen is in use",
        Exit.IN_USE: None,
        Exit.STATE: None,
    },
    "sync": {
        Exit.OK: "everything that is wanted is proven, or exporting is switched off",
        Exit.FAILED: "nobody reads its log any more",
        **_CONFIGURED,
        Exit.IN_USE: None,
        Exit.INCOMPLETE: None,
        Exit.STATE: None,
    },
    "export": {
        Exit.OK: "it is proven in its store",
        Exit.FAILED: "nothing of the experiment is wanted, or exporting is switched off",
        **_CONFIGURED,
        Exit.IN_USE: None,
        Exit.INCOMPLETE: "it is not proven (yet); the message says why",
        Exit.STATE: None,
    },
    "hint": {Exit.OK: "always: nothing depends on a hint", Exit.USAGE: None},
    "retry": {
        Exit.OK: None,
        Exit.FAILED: "at one of the paths there is nothing to try again",
        **_READING,
    },
    "list": {Exit.OK: "also where nothing is listed", **_READING},
    "explain": {Exit.OK: None, Exit.FAILED: "the path does not lie below the data directory", **_READING},
    "plan": {Exit.OK: None, **_READING},
    "demo": {Exit.OK: None, Exit.FAILED: "the daemon did not do what it promises", Exit.USAGE: None},
    "status": {
        Exit.OK: "artifacts get to their stores",
        Exit.FAILED: "no daemon runs",
        **_READING,
        Exit.CHECK: "artifacts do not get to their stores, or the daemon does not answer",
    },
    "verify": {
        Exit.OK: "nothing is wrong",
        **_READING,
        **dict.fromkeys(code for code in Exit if code >= Exit.RECORD),
        Exit.UNREADABLE: "a copy or a store cannot be read",
    },
    "audit": {Exit.OK: None, Exit.FAILED: "standard output has no room", **_READING},
    "check": {Exit.OK: "all is well", **_CONFIGURED, Exit.CHECK: None},
    "reload": {
        Exit.OK: "the configuration is taken",
        Exit.FAILED: "no daemon runs, or it has not taken the configuration in time",
        Exit.USAGE: None,
        Exit.CONFIGURATION: "the new configuration is wrong; the old one is kept",
    },
    "install-service": {Exit.OK: None, Exit.FAILED: "a file cannot be written", **_CONFIGURED},
    "uninstall-service": {Exit.OK: None, Exit.FAILED: "a file cannot be removed", Exit.USAGE: None},
    "show": {Exit.OK: None, **_CONFIGURED},
    "manual": {Exit.OK: None, Exit.FAILED: "a page cannot be written", Exit.USAGE: None},
    "completion": {Exit.OK: None, Exit.USAGE: None},
}
"""Command → how it can end → what that means of it; None: what it means of every command."""


def ends(command: str) -> Mapping[Exit, str]:
    """Exit code → what it means of this command."""
    return {code: meaning or code.meaning for code, meaning in sorted(CODES[command].items())}


def epilog(command: str) -> str:
    """For the end of the command's help."""
    examples = [f"  {line}\n      {what}" for line, what in EXAMPLES[command].items()]
    codes = [f"  {code:>2}  {meaning}" for code, meaning in ends(command).items()]
    return "\n".join(["Examples:", *examples, "", "It ends with:", *codes])
