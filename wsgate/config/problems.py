"""Everything that is wrong with one INI, told in one run, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from wsgate.config.ini import Section
from wsgate.errors import WsgateError

_SHOWN = 72  # characters of a value that a message repeats


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend.  ``where`` is the section, and the option with its value; ``text`` says what is wrong and
    what would be right.  ``line`` counts from 1; 0 means the file as a whole."""

    source: str
    line: int
    where: str
    text: str

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        return ": ".join(part for part in (place, self.where, self.text) if part)


class ConfigError(WsgateError):
    """A configuration that cannot be used; ``problems`` holds all of them, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Findings:
    """Collects the problems and warnings of one INI and knows where each section and option stands."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._sections: dict[tuple[str, str], Section] = {}
        self._bad: set[tuple[str, str, str]] = set()

    def place(self, section: Section) -> None:
        """Remember where a section stands; the first of a name stays."""
        self._sections.setdefault((section.kind, section.name), section)

    def line(self, kind: str, name: str) -> int:
        """The line of a section's header, 0 where it is not in the INI."""
        section = self._sections.get((kind, name))
        return section.line if section else 0

    def is_set(self, kind: str, name: str, option: str) -> bool:
        """Whether the INI sets the option, to something else than ``off`` or nothing."""
        section = self._sections.get((kind, name))
        entry = section.entries.get(option) if section else None
        return entry is not None and entry.text not in ("", "off", "0")

    def is_bad(self, kind: str, name: str, *options: str) -> bool:
        """Whether one of the options has a problem already, so that its value says nothing."""
        return any((kind, name, option) in self._bad for option in options)

    def at(self, line: int, where: str, text: str) -> None:
        """Add a problem at a place that the caller knows."""
        self.problems.append(Problem(self.source, line, where, text))

    def problem(self, kind: str, name: str, option: str, text: str, item: str = "") -> None:
        """Add a problem with an option, or with the section where ``option`` is empty or not given; ``item`` is the
        part of a list that it is about.  An option that has a problem already gets no second one."""
        if not self.is_bad(kind, name, option):
            self.problems.append(self._locate(kind, name, option, text, item))

    def warn(self, kind: str, name: str, option: str, text: str) -> None:
        """Add something that is allowed and probably not meant."""
        self.warnings.append(self._locate(kind, name, option, text, ""))

    def bad_value(self, section: Section, option: str, line: int, value: str, text: str) -> None:
        """Add a problem with the value (or one item of it) of an option."""
        self._bad.add((section.kind, section.name, option))
        self.at(line, f"{section.header} {option} = {shown(value)}".rstrip(), text)

    def missing(self, section: Section, option: str, text: str) -> None:
        """Add a problem with an option that must be there and is not."""
        self._bad.add((section.kind, section.name, option))
        self.at(section.line, section.header, text)

    def raise_problems(self) -> None:
        """Raise ``ConfigError`` where there is any problem."""
        if self.problems:
            raise ConfigError(sorted(self.problems, key=lambda problem: problem.line))

    def told_warnings(self) -> tuple[str, ...]:
        """The warnings as sentences, in the order of the file."""
        return tuple(map(str, sorted(self.warnings, key=lambda warning: warning.line)))

    def _locate(self, kind: str, name: str, option: str, text: str, item: str) -> Problem:
        section = self._sections.get((kind, name))
        if section is None:
            return Problem(self.source, 0, f"[{kind} {name}]" if name else "", text)
        entry = section.entries.get(option)
        if entry is None:
            return Problem(self.source, section.line, section.header, text)
        row = next((row for row in entry.rows if item and item in row.text), None)
        value = row.text if row else entry.text
        return Problem(
            self.source, row.line if row else entry.line, f"{section.header} {option} = {shown(value)}".rstrip(), text
        )


def shown(value: str) -> str:
    """A value as a message repeats it: on one line and not too long."""
    flat = " ".join(value.split())
    return flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like ``name``, or nothing."""
    names = list(known)
    folded = {candidate.casefold().replace("-", "_"): candidate for candidate in reversed(names)}
    close = get_close_matches(name.casefold().replace("-", "_"), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence that refuses an unknown name and offers the nearest one, or all."""
    names = list(known)
    near = nearest(name, names)
    if near:
        return f"unknown {what} {name}: did you mean {near}?"
    offered = f"known: {', '.join(names)}" if names else "there is none"
    return f"unknown {what} {name}; {offered}"
