"""The documents say what the program does."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from gridcli.cli.main import COMMANDS
from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "gridcli"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "cli": {
        "raster",
        "dims",
        "labelling",
        "states",
        "tiles",
        "grid",
        "points",
        "output",
        "synth",
        "runtime",
        "errors",
    },
    "raster": {"tiles", "grid", "points", "output", "runtime", "errors"},
    "states": {"raster", "dims", "tiles", "grid", "points", "output", "runtime", "errors"},
    "dims": {"raster", "tiles", "grid", "points", "output", "runtime", "errors"},
    "labelling": {"raster", "tiles", "grid", "points", "output", "runtime", "errors"},
    "tiles": {"grid", "runtime", "errors"},
    "synth": {"output", "grid", "runtime", "errors"},
    "points": {"grid", "runtime", "errors"},
    "output": {"runtime", "errors"},
    "grid": {"runtime", "errors"},
    "runtime": {"errors"},
    "errors": set(),
    "__main__": {"cli"},
    "__init__": set(),
}
"""docs/architecture.md, the map."""


def test_the_command_reference_is_the_help_of_today():
    spec = importlib.util.spec_from_file_location(
        "build_commands", REPOSITORY / "docs" / "build_commands.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == module.page(), "run: make docs"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_every_command(command):
    assert f"`gridcli {command}" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way_and_modules_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    place = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "gridcli":
                names = [f"gridcli.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            head, _, rest = name.partition(".")
            if head == "gridcli" and rest and rest != "__version__":
                target = rest.split(".")[0]
                assert target == place or target in MAY_IMPORT[place], f"{place} imports {name}"


@pytest.mark.parametrize("page", sorted(REPOSITORY.glob("**/*.md")), ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page):
    if {".venv", ".venv-bench", "build"} & set(page.relative_to(REPOSITORY).parts):
        return
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert Path(page.parent / target).exists(), target
