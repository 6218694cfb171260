"""The schema, the page and the code say the same."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import artifactd
from artifactd.ledger.record import TERMS
from artifactd.log.lines import COMMON, LINES, OPTIONAL, SCHEMA

PAGE = Path(__file__).parents[2] / "docs/log.md"


def table(heading: str) -> dict[str, list[str]]:
    """The first column of a page's table → its other cells."""
    lines = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_the_page_has_every_event_with_its_fields_and_no_other() -> None:
    sentence = re.search(r"The \*copy\* fields are (.*)\.", PAGE.read_text())
    assert sentence
    documented = {
        event: tuple(re.findall(r"`(\w+)`", fields.replace("*copy*", sentence[1])))
        for event, (fields, when) in table("Events").items()
        if when
    }
    assert documented == dict(LINES)


def test_the_page_says_what_every_field_means_and_names_the_schemas_version() -> None:
    fields = {*COMMON, *OPTIONAL, *(field for own in LINES.values() for field in own)}
    assert {field for field, (meaning,) in table("Fields").items() if meaning} == fields
    assert f"`schema`, now {SCHEMA}." in PAGE.read_text()


def said_in_code() -> Iterator[tuple[str, set[str]]]:
    """Each event that the code says by its name, with the names of its fields."""
    for file in Path(artifactd.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and re.search(r"\blog\.\w+$|^tell$", ast.unparse(call.func)):
                said = [str(one.value) for one in call.args if isinstance(one, ast.Constant)]
                for event in filter(re.compile(r"[a-z]+\.[a-z_]+").fullmatch, said):
                    yield event, {keyword.arg for keyword in call.keywords if keyword.arg}


def test_the_code_says_what_is_in_the_schema_and_nothing_else() -> None:
    copies = {terms.action for terms in TERMS.values()}
    said = copies.copy()
    for event, fields in said_in_code():
        said.add(event)
        assert fields <= set(LINES[event]), event
    assert said == set(LINES)
