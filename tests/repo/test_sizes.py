"""Modules and functions stay short enough to be read at once."""

from __future__ import annotations

import ast

from tests.repo.tree import ROOT, files, modules, parsed

MODULE_LINES = 400
FUNCTION_LINES = 60


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its decorators and docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_no_module_is_longer_than_the_limit() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    long = {name: length for name, length in lengths.items() if length > MODULE_LINES}
    assert not long, f"longer than {MODULE_LINES} lines: {long}"


def test_no_function_is_longer_than_the_limit() -> None:
    long = [
        f"{name}.{node.name}: {_code_lines(node)} lines"
        for name, path in modules().items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _code_lines(node) > FUNCTION_LINES
    ]
    assert not long, f"longer than {FUNCTION_LINES} lines:\n" + "\n".join(long)


def test_packages_hold_no_code() -> None:
    """A room's ``__init__.py`` is its description; wsgate's own may offer names."""
    full = [
        str(path.relative_to(ROOT))
        for path in files()
        if path.name == "__init__.py" and path.parent.name != "wsgate" and len(parsed(path).body) > 1
    ]
    assert not full, full


def test_every_module_says_what_it_is() -> None:
    silent = [name for name, path in modules().items() if not ast.get_docstring(parsed(path))]
    assert not silent, silent
