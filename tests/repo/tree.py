"""What is in the tree: files, modules, and what a module imports."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = {
    "build",
    "dist",
    "__pycache__",
    "node_modules",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
}


@cache
def files() -> tuple[Path, ...]:
    """The project's files: those that git tracks or would, and outside of a checkout all that are not products."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=False)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [
            path
            for path in ROOT.rglob("*")
            if not any(part in _LEFT_OUT or part.startswith(".venv") for part in path.relative_to(ROOT).parts)
        ]
    return tuple(sorted(path for path in paths if path.is_file()))


@cache
def modules() -> dict[str, Path]:
    """The modules of the package by their dotted names."""
    found = {}
    for path in files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] == "wsgate" and path.suffix == ".py":
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(), str(path))


def imports(name: str) -> Iterator[tuple[int, str]]:
    """What the module ``name`` imports, anywhere in it, as (line, dotted name).

    ``from a import b`` gives ``a.b``, whether b is a module or a name in one.
    """
    for node in ast.walk(parsed(modules()[name])):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: a relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def module_of(dotted: str) -> str:
    """The module of the package that holds ``dotted``."""
    while dotted not in modules() and "." in dotted:
        dotted = dotted.rpartition(".")[0]
    return dotted
