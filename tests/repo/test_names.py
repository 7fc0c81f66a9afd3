"""Names say something: a function lives with the noun that it serves."""

from __future__ import annotations

import ast
import re

import pytest

from tests.repo.tree import ROOT, files, modules, parsed

EMPTY_WORDS = frozenset({"util", "utils", "helper", "helpers", "manager", "handler", "handlers"})
EMPTY_PLACES = EMPTY_WORDS | {"common", "misc"}


def words(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("http_end", {"http", "end"}), ("TLSManager", {"tls", "manager"}), ("_myHelper2", {"my", "helper"})],
)
def test_a_name_is_taken_apart(name: str, expected: set[str]) -> None:
    assert words(name) == expected


def test_no_file_or_folder_is_called_nothing() -> None:
    empty = [
        str(path.relative_to(ROOT))
        for path in files()
        if any(words(part) & EMPTY_PLACES for part in path.relative_to(ROOT).with_suffix("").parts)
    ]
    assert not empty, empty


def test_no_class_or_function_is_called_nothing() -> None:
    empty = [
        f"{name}:{node.lineno} {node.name}"
        for name, path in modules().items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and words(node.name) & EMPTY_WORDS
    ]
    assert not empty, "\n".join(empty)
