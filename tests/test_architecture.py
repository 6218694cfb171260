"""The shape of the house: few files at the top, rooms that one can overlook, no circle of imports."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import artifactd

TOP = Path(artifactd.__file__).parent
PACKAGES = sorted(path.parent for path in TOP.rglob("__init__.py"))
NAMES = [package.relative_to(TOP.parent).as_posix() for package in PACKAGES]

MOST = 14
BOUNDS = {"artifactd": 6, "artifactd/stores": 5, "artifactd/cli": 23}
"""Modules that a package may hold beside its `__init__` and `__main__`. In `cli` a file is a command."""


@pytest.mark.parametrize("package", PACKAGES, ids=NAMES)
def test_no_package_outgrows_its_bound(package: Path) -> None:
    modules = [path.stem for path in package.glob("*.py") if not path.stem.startswith("__")]
    assert len(modules) <= BOUNDS.get(package.relative_to(TOP.parent).as_posix(), MOST), modules


@pytest.mark.parametrize("package", PACKAGES, ids=NAMES)
def test_every_package_says_what_it_is(package: Path) -> None:
    assert ast.get_docstring(ast.parse((package / "__init__.py").read_text()))


def test_every_folder_of_modules_is_a_package() -> None:
    assert {path.parent for path in TOP.rglob("*.py")} == set(PACKAGES)


def module_of(file: Path) -> str:
    parts = file.relative_to(TOP.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in TOP.rglob("*.py")}


def imports_of(file: Path) -> Iterator[str]:
    """The modules of ours that `file` names in an import, wherever in it that stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            inside = (f"{node.module}.{alias.name}" for alias in node.names)
            named = [one if one in MODULES else str(node.module) for one in inside]
        else:
            continue
        yield from (one for one in named if one in MODULES)


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {module: set(imports_of(file)) for module, file in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" ← ".join(error.args[1]), pytrace=False)
