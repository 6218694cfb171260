"""The pages of the manual, made of what the commands' own help is made of. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from typer.core import TyperArgument, TyperCommand, TyperOption

from artifactd.cli.exits import Exit
from artifactd.cli.help.texts import EXAMPLES, ends

_FILES: Final = {
    "/etc/artifactd/config.toml": "The configuration, where --config and ARTIFACTD_CONFIG name no other.",
    "ledger.sqlite3": "In the state directory: what is known of every copy, and the record of what happened.",
}


def command_page(path: str, command: TyperCommand, version: str) -> str:
    """The page of a command for man(1); `path` is how it is called, as `config show`."""
    summary, *more = (command.help or "").split("\n\n")
    name = path.rpartition(" ")[2]
    options = [one for one in command.params if isinstance(one, TyperOption)]
    arguments = [one for one in command.params if isinstance(one, TyperArgument)]
    synopsis = " ".join(("[OPTIONS]", *map(_named, arguments)))
    return _page(
        f"artifactd-{path.replace(' ', '-')}",
        summary,
        version,
        {
            "SYNOPSIS": [f"\\fBartifactd {_text(path)}\\fR {_text(synopsis)}"],
            "DESCRIPTION": [line for one in (summary, *more) for line in (".PP", *_paragraph(one))],
            "ARGUMENTS": _items((_named(one), one.help) for one in arguments),
            "OPTIONS": _items((_flags(one), _help(one)) for one in options),
            "EXAMPLES": _items(EXAMPLES[name].items()),
            "EXIT STATUS": _items((str(int(code)), meaning) for code, meaning in ends(name).items()),
            "SEE ALSO": ["\\fBartifactd\\fR(1)"],
        },
    )


def overview(about: str, summaries: Mapping[str, str], version: str) -> str:
    """The page of artifactd itself; `summaries`: how each command is called → what it is for."""
    pages = ", ".join(f"\\fB{_text(f'artifactd-{path}'.replace(' ', '-'))}\\fR(1)" for path in summaries)
    return _page(
        "artifactd",
        "exports Driverless AI's finished artifacts to a store you control",
        version,
        {
            "SYNOPSIS": ["\\fBartifactd\\fR COMMAND [OPTIONS] [ARGUMENTS]"],
            "DESCRIPTION": _paragraph(about),
            "COMMANDS": _items(summaries.items()),
            "EXIT STATUS": _items((str(int(code)), code.meaning) for code in Exit),
            "FILES": _items(_FILES.items()),
            "SEE ALSO": [pages],
        },
    )


def _page(name: str, summary: str, version: str, sections: Mapping[str, Sequence[str]]) -> str:
    """Title → its lines of roff."""
    lines = [f'.TH "{name.upper()}" "1" "" "artifactd {version}" "artifactd"']
    lines += [".SH NAME", f"{_text(name)} \\- {_text(summary.rstrip('.'))}"]
    for title, body in sections.items():
        lines += [f".SH {title}", *body] if body else []
    return "\n".join(lines) + "\n"


def _named(argument: TyperArgument) -> str:
    name = str(argument.name).upper()
    return name if argument.required else f"[{name}]"


def _flags(option: TyperOption) -> str:
    value = "" if option.is_flag else f" {option.metavar or str(option.name).upper()}"
    return f"{', '.join(sorted(option.opts, key=len))}{value}"


def _help(option: TyperOption) -> str:
    choices = ", ".join(getattr(option.type, "choices", ()))
    return f"{option.help} One of: {choices}." if choices else str(option.help)


def _items(found: Iterable[tuple[str, str | None]]) -> list[str]:
    """Each term with what is said of it below."""
    items = ((".TP", f"\\fB{_text(term)}\\fR", *_paragraph(text or "")) for term, text in found)
    return [line for item in items for line in item]


def _paragraph(text: str) -> list[str]:
    return [_text(line) for line in text.split("\n") if line]


def _text(text: str) -> str:
    r"""Text that roff takes as it stands: a backslash is \e, a dash no hyphen, no line begins a request."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
