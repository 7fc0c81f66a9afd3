"""Where in the INI it stands: what goes wrong after the reading is told with the file and the line, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wsgate.config import ini
from wsgate.config.problems import Findings
from wsgate.errors import WsgateError

#: Words of a value that are shorter say nothing of where they stand.
_LEAST = 4


class OptionError(WsgateError):
    """An option that is right as text, and cannot be put to work.

    ``source`` is the path of the INI, ``item`` the part of a list that ``text`` is about.  Without a name or an option
    it is about the section, or the file.
    """

    def __init__(self, source: str, kind: str, name: str, option: str, text: str, item: str = "") -> None:
        findings = Findings(source)
        for section in _sections(source):
            findings.place(section)
        findings.problem(kind, name, option, text, item)
        super().__init__(str(findings.problems[0]))


def placed(error: str, source: str) -> str:
    """``error`` with the line of the value that it begins with, such as the path of a key; or as it is."""
    base = Path(source).parent
    if not error.startswith(source):
        for section, entry, row in _rows(source):
            for word in row.text.replace(",", " ").split():
                if len(word) >= _LEAST and error.startswith((f"{word}:", f"{word} ", f"{base / word}:")):
                    return f"{source}:{row.line}: {section.header} {entry.name}: {error}"
    return error


def _rows(source: str) -> Iterator[tuple[ini.Section, ini.Entry, ini.Row]]:
    for section in _sections(source):
        for entry in section.entries.values():
            for row in entry.rows:
                yield section, entry, row


def _sections(source: str) -> list[ini.Section]:
    """Nothing where the INI cannot be read any more, or the configuration came from elsewhere."""
    try:
        return ini.read(Path(source).read_text()).sections
    except (OSError, UnicodeDecodeError):
        return []
