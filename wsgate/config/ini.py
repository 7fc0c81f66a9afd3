"""A strict reader of INI text that keeps the line of everything.

What it reads: ``[kind name]`` headers; ``name = value`` options; lines indented deeper than their option, which
continue its value; comments, which are whole lines that begin with ``;`` or ``#``, and the rest of a line from a ``;``
that has a blank before it.  Nothing is interpolated, nothing is unquoted, and no later line silently replaces an
earlier one: what does not fit is a fault with its line, and reading goes on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_COMMENT = re.compile(r"(?:^|\s+);.*$")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a value, without its comment and outer blanks; ``line`` counts from 1."""

    line: int
    text: str


@dataclass(slots=True)
class Entry:
    """One option: its name and the rows of its value."""

    name: str
    line: int
    rows: list[Row] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The rows, one a line."""
        return "\n".join(row.text for row in self.rows)


@dataclass(slots=True)
class Section:
    """One section: the words of its header, where it is, and its options by name, in the order of the file."""

    kind: str
    name: str
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def header(self) -> str:
        return f"[{self.kind} {self.name}]" if self.name else f"[{self.kind}]"


@dataclass(frozen=True, slots=True)
class Fault:
    """What could not be read: the line, the header of the section it is in (or empty), the line's text, the reason."""

    line: int
    header: str
    text: str
    reason: str


@dataclass(slots=True)
class Document:
    """What ``read`` found."""

    sections: list[Section] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def read(text: str) -> Document:
    """Read the whole of an INI; never raises for what is in it."""
    reader = _Reader()
    # Not splitlines: it also cuts at form feeds and other separators, and editors count only line feeds.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        reader.line(number, line.removesuffix("\r"))
    return reader.document


class _Reader:
    """Knows what the next line may continue: ``entry`` with its indent, in ``section``."""

    def __init__(self) -> None:
        self.document = Document()
        self.section: Section | None = None
        self.entry: Entry | None = None
        self.indent = 0

    def line(self, number: int, line: str) -> None:
        content = line.strip()
        if not content or content[0] in ";#":
            return
        if not line.expandtabs().isprintable():
            self._fault(number, content, "a control character or another that cannot be printed: remove it")
            return
        content = _COMMENT.sub("", content)
        expanded = line.expandtabs()
        indent = len(expanded) - len(expanded.lstrip())
        if self.entry is not None and indent > self.indent:
            self.entry.rows.append(Row(number, content))
        elif content.startswith("["):
            self._header(number, content)
        else:
            self._option(number, content, indent)

    def _header(self, number: int, content: str) -> None:
        self.entry = None
        words = content.strip("[]").split()
        kind, name = (words + ["", ""])[:2]
        self.section = Section(kind, name, number)
        if content.endswith("]") and content.count("[") == content.count("]") == 1 and 1 <= len(words) <= 2:
            self.document.sections.append(self.section)
            return
        if kind:
            self.document.sections.append(self.section)
        self.document.faults.append(Fault(number, "", content, "expected a header such as [gateway] or [listener web]"))

    def _option(self, number: int, content: str, indent: int) -> None:
        name, equals, value = (part.strip() for part in content.partition("="))
        # A stray line ends the option before it, so that what follows is not taken for a continuation of that.
        self.entry, self.indent = Entry(name, number), indent
        if value:
            self.entry.rows.append(Row(number, value))
        if not equals or not _NAME.fullmatch(name):
            self._fault(number, content, "expected NAME = VALUE, a [header], or a deeper indented continuation")
        elif self.section is None:
            self._fault(number, content, "an option outside of a section: put it below a header such as [gateway]")
        elif name in self.section.entries:
            first = self.section.entries[name].line
            self._fault(number, content, f"given twice, first in line {first}: keep one of the two")
        else:
            self.section.entries[name] = self.entry

    def _fault(self, number: int, text: str, reason: str) -> None:
        header = self.section.header if self.section is not None else ""
        self.document.faults.append(Fault(number, header, text, reason))
