"""Breaks the code at random places, one at a time, and shows which breaks no test notices: `make mutants`.

Each mutant lives in a copy of `daemon/` that comes before the installed one, in processes that tests start,
too. It meets the tests of its own room, those of its own name first: what survives may be seen elsewhere.
"""

import argparse
import ast
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pytest

ROOT = Path(__file__).parents[1]
DAEMON = ROOT / "daemon"
TESTS = ROOT / "tests"

SECONDS = 600.0
"""for the tests of one mutant: twice what the slowest room takes. Who takes longer hangs, and is noticed."""

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """One break."""

    file: Path
    node: int
    """its number in `ast.walk`"""
    variant: int
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}: {self.what}"


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the node's place."""
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARED:
            yield ast.Compare(node.left, [COMPARED[type(operator)]()], node.comparators)
        case ast.BoolOp(op=operator):
            yield ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), node.values)
        case ast.BinOp(op=operator) if type(operator) in COMPUTED:
            yield ast.BinOp(node.left, COMPUTED[type(operator)](), node.right)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.If():
            yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case _:
            pass


def silent(tree: ast.AST) -> set[ast.AST]:
    """Nodes whose change is none: annotations, decorators, and how a class is made."""
    found = set[ast.AST]()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        match node:
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=annotation):
                parts = [annotation]
            case ast.FunctionDef(returns=returns, decorator_list=decorators):
                parts = [returns, *decorators]
            case ast.ClassDef(decorator_list=decorators):
                parts = [*decorators]
            case _:
                pass
        found.update(below for part in parts if part is not None for below in ast.walk(part))
    return found


def mutants(file: Path) -> Iterator[Mutant]:
    """Every break of the file."""
    tree = ast.parse(file.read_text())
    skipped = silent(tree)
    for number, node in enumerate(ast.walk(tree)):
        if node in skipped:
            continue
        for variant, other in enumerate(variants(node)):
            what = f"{first_line(node)}  →  {first_line(ast.fix_missing_locations(other))}"
            yield Mutant(file, number, variant, getattr(node, "lineno", 0), what)


def first_line(node: ast.AST) -> str:
    """The node as code, as far as one line shows it."""
    return ast.unparse(deepcopy(node)).split("\n", 1)[0][:80]


def broken(mutant: Mutant) -> str:
    """The text of its file with the break."""
    tree = ast.parse(mutant.file.read_text())
    node = list(ast.walk(tree))[mutant.node]
    other = list(variants(node))[mutant.variant]
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, field, other)
            elif isinstance(value, list):
                setattr(parent, field, [other if one is node else one for one in value])
    return ast.unparse(ast.fix_missing_locations(tree))


def tests_of(file: Path) -> Iterator[list[Path]]:
    """Those that bear the module's name, those that import it, then the rest of its room."""
    inside = file.relative_to(DAEMON / "artifactd")
    room = TESTS / inside.parent
    while not room.is_dir():
        room = room.parent
    files = sorted(room.glob("test_*.py") if room == TESTS else room.rglob("test_*.py"))
    module = ".".join(("artifactd", *inside.with_suffix("").parts)).removesuffix(".__init__")
    named = [one for one in files if one.name == f"test_{file.stem}.py"]
    importing = [one for one in files if one not in named and f"from {module} import" in one.read_text()]
    rest = [] if room == TESTS else [one for one in files if one not in named + importing]
    yield from filter(None, (named, importing, rest))


def survives(mutant: Mutant, copy: Path) -> bool:
    """Whether no test of its room fails."""
    path = copy / mutant.file.relative_to(DAEMON)
    path.write_text(broken(mutant))
    try:
        return all(passes(tests, copy) for tests in tests_of(mutant.file))
    finally:
        path.write_text(mutant.file.read_text())


def passes(tests: list[Path], copy: Path) -> bool:
    """Whether these tests pass, in time, on the code in `copy`."""
    run = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider")
    with subprocess.Popen(
        [*run, "--basetemp", str(copy.parent / "tests"), *map(str, tests)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(SECONDS) in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return False


def main() -> None:
    """Try a sample and print the survivors and the rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=100, help="how many mutants")
    parser.add_argument("--seed", type=int, default=11, help="which ones")
    parser.add_argument("--at-once", type=int, default=2, help="how many at once")
    parser.add_argument("files", nargs="*", type=Path, help="only of these modules")
    given = parser.parse_args()

    files = [file.resolve() for file in given.files] or sorted((DAEMON / "artifactd").rglob("*.py"))
    every = [mutant for file in files for mutant in mutants(file)]
    chance = random.Random(given.seed)  # noqa: S311 - no secret
    sample = chance.sample(every, min(given.sample, len(every)))
    copies = SimpleQueue[Path]()
    began = time.monotonic()

    def tried(mutant: Mutant) -> bool:
        copy = copies.get()
        try:
            alive = survives(mutant, copy)
        finally:
            copies.put(copy)
        print("survives" if alive else "killed  ", mutant, flush=True)
        return alive

    with tempfile.TemporaryDirectory() as directory:
        for number in range(given.at_once):
            copies.put(Path(shutil.copytree(DAEMON, Path(directory) / str(number) / "daemon")))
        with ThreadPoolExecutor(given.at_once) as pool:
            alive = sum(pool.map(tried, sample))
    minutes = (time.monotonic() - began) / 60
    print(f"{len(sample) - alive} of {len(sample)} killed (of {len(every)} in all), in {minutes:.0f} minutes")


if __name__ == "__main__":
    main()
