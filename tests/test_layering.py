"""A room imports only from rooms before it, and nobody imports the entry points."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
ROOMS = ["scenario", "inference", "authoring", "data", "models", "training", "evaluation"]
FORBIDDEN_NAMES = {"utils", "common", "helpers", "misc", "core", "base"}
PACKAGE_FILES = sorted((ROOT / "ppt_jax").rglob("*.py"))


def imported_modules(path: pathlib.Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_from_earlier_rooms(path: pathlib.Path) -> None:
    parts = path.relative_to(ROOT / "ppt_jax").parts
    modules = imported_modules(path)
    for module in modules:
        top = module.split(".")[0]
        assert top not in {"launch", "configs", "tests", "scripts"}, f"{path} imports {module}"
        assert top not in {"tensorflow", "torch"}, f"{path} imports {module}"
    if parts[0] not in ROOMS:
        return
    allowed = set(ROOMS[: ROOMS.index(parts[0]) + 1])
    for module in modules:
        pieces = module.split(".")
        if pieces[0] == "ppt_jax" and len(pieces) > 1 and pieces[1] in ROOMS:
            assert pieces[1] in allowed, f"{path} imports {module}, which comes later"


def test_scenario_room_needs_no_jax() -> None:
    for path in (ROOT / "ppt_jax" / "scenario").rglob("*.py"):
        tops = {module.split(".")[0] for module in imported_modules(path)}
        tables = path.parent.name == "networks"  # conditional tables are arrays
        assert not tops & {"jax", "numpyro", "flax", *(() if tables else ("numpy",))}, path


def test_plain_names_and_sizes() -> None:
    for path in [*PACKAGE_FILES, *(ROOT / "launch").rglob("*.py")]:
        pieces = {piece.removesuffix(".py") for piece in path.relative_to(ROOT).parts}
        assert not pieces & FORBIDDEN_NAMES, path
        assert not any(piece.endswith("_v2") for piece in pieces), path
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 520, f"{path} has {lines} lines; split it along a natural line"
