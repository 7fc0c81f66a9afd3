"""The parts of a reStructuredText page that the benchmark writes, between two comments of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from bench.cases import Case
from bench.outcomes import Results
from bench.ruler import HERE, BenchError
from bench.table import machine, tables, targets

PAGE = HERE.parent / "docs" / "performance.rst"
README = HERE.parent / "README.rst"


def literal(text: str) -> str:
    """``text`` as a literal block."""
    return "::\n\n" + "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def replaced(page: str, name: str, text: str) -> str:
    """``page`` with ``text`` in its part ``name``; BenchError where it has no such part."""
    begin, end = f".. bench: {name}, made by ``make bench``", f".. bench: end of {name}"
    found = re.compile(f"^{re.escape(begin)}$.*?^{re.escape(end)}$", re.MULTILINE | re.DOTALL)
    if not found.search(page):
        raise BenchError(f"no part {name!r} in the page")
    return found.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", page, count=1)


def write(cases: Iterable[Case], results: Results, page: Path = PAGE, readme: Path = README) -> None:
    """Put the figures into docs/performance.rst and the README."""
    text = page.read_text()
    blocks = "\n\n".join(f"{group}\n{'~' * len(group)}\n\n{literal(table)}" for group, table in tables(cases, results))
    for name, part in (("machine", machine(results)), ("targets", targets(results))):
        text = replaced(text, name, literal(part))
    page.write_text(replaced(text, "tables", blocks))
    readme.write_text(replaced(readme.read_text(), "ratios", literal(targets(results, headlines=True))))
