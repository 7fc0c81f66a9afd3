"""From an INI to a checked ``Config``, or to all that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsgate.config import build, check, files, ini
from wsgate.config.model import Config
from wsgate.config.options import SECTIONS, Option, of_section
from wsgate.config.problems import ConfigError, Findings, Problem, nearest, shown, unknown
from wsgate.config.values import BadValue, section_name


def load_config(path: Path) -> Config:
    """Read and check an INI file; relative paths in it are relative to its directory.

    Raises ``ConfigError`` with every problem of the file.
    """
    shown_path = str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError([Problem(shown_path, 0, "", f"cannot be read: {error.strerror}")]) from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(shown_path, line, "", "not UTF-8: save the file in that encoding")]) from None
    absolute = path.absolute()
    return replace(parse_config(text, shown_path, absolute.parent), source=str(absolute))


def parse_config(text: str, source: str, base: Path) -> Config:
    """Check the text of an INI; ``source`` names it in messages, relative paths are below ``base``.

    Raises ``ConfigError`` with every problem of the text.
    """
    findings = Findings(source)
    document = ini.read(text)
    for fault in document.faults:
        findings.at(fault.line, f"{fault.header} {shown(fault.text)}".strip(), fault.reason)
    sections = [known for section in document.sections if (known := _known(section, findings)) is not None]
    parsed = [_Parsed(section, _values(section, base, findings)) for section in sections]
    config = _config(source, _without_repeats(parsed, findings), base)
    check.check(config, findings)
    files.check(config, findings)
    findings.raise_problems()
    return replace(config, warnings=findings.told_warnings())


@dataclass(frozen=True, slots=True)
class _Parsed:
    section: ini.Section
    values: dict[str, Any]


def _known(section: ini.Section, findings: Findings) -> ini.Section | None:
    """The section, under the nearest kind that exists where its own does not, so that checking can go on."""
    header, kind = section.header, section.kind
    if kind not in SECTIONS:
        kind = nearest(kind, SECTIONS)
        kinds = [known.header for known in SECTIONS.values()]
        offer = f"did you mean {ini.Section(kind, section.name, 0).header}?" if kind else f"known: {', '.join(kinds)}"
        findings.at(section.line, header, f"unknown section; {offer}")
        if not kind:
            return None
    name = section.name
    if SECTIONS[kind].named and not name:
        findings.at(section.line, header, f"needs a name: {SECTIONS[kind].header}, such as [{kind} main]")
    elif not SECTIONS[kind].named and name:
        findings.at(section.line, header, f"takes no name: [{kind}]")
        name = ""
    elif name:
        try:
            section_name(name)
        except BadValue as bad:
            findings.at(section.line, header, str(bad))
    known = ini.Section(kind, name, section.line, section.entries)
    findings.place(known)
    return known


def _values(section: ini.Section, base: Path, findings: Findings) -> dict[str, Any]:
    """The values of all options of the section: parsed, or the default."""
    options = of_section(section.kind)
    entries: dict[str, ini.Entry] = {}
    for name, entry in section.entries.items():
        meant = name
        if name not in options:
            meant = nearest(name, options)
            findings.at(entry.line, f"{section.header} {name}", unknown("option", name, options))
        # A misspelt option is read as the one that it resembles, so that this one is not missed too.
        if meant and (meant == name or meant not in section.entries):
            entries[meant] = entry
    section.entries = entries
    return {
        name: build.anchored(_value(section, option, entries.get(name), findings), base)
        for name, option in options.items()
    }


def _value(section: ini.Section, option: Option, entry: ini.Entry | None, findings: Findings) -> Any:
    if entry is None:
        if option.default is None:
            findings.missing(section, option.name, f"needs {option.name}, such as {option.name} = {option.example}")
        return option.fallback()
    if len(entry.rows) > 1 and not option.kind.lines:
        row = entry.rows[1]
        text = "takes one line; an indented line continues the option above it: indent it no deeper than that"
        findings.bad_value(section, option.name, row.line, row.text, text)
        return option.fallback()
    try:
        return option.parse(entry.text)
    except BadValue as bad:
        for fault in bad.faults:
            row = entry.rows[fault.row] if entry.rows else ini.Row(entry.line, "")
            value = fault.item or row.text
            hint = "; a comment behind a value begins with ;" if " #" in value else ""
            findings.bad_value(section, option.name, row.line, value, fault.text + hint)
        return option.fallback()


def _without_repeats(parsed: list[_Parsed], findings: Findings) -> list[_Parsed]:
    """The first section of each kind and name; the others are problems."""
    first: dict[tuple[str, str], _Parsed] = {}
    for item in parsed:
        section = item.section
        kept = first.setdefault((section.kind, section.name), item)
        if kept is not item and (section.name or not SECTIONS[section.kind].named):
            text = f"a second section of this name, the first is in line {kept.section.line}: join them or rename one"
            findings.at(section.line, section.header, text)
    return list(first.values())


def _config(source: str, parsed: list[_Parsed], base: Path) -> Config:
    def of(kind: str) -> list[tuple[str, dict[str, Any]]]:
        return [(item.section.name, item.values) for item in parsed if item.section.kind == kind]

    defaults = {name: build.anchored(option.fallback(), base) for name, option in of_section("gateway").items()}
    gateway = next((values for _, values in of("gateway")), defaults)
    return Config(
        source=source,
        gateway=build.gateway(gateway),
        listeners=tuple(build.listener(*item) for item in of("listener")),
        tls={name: build.tls(name, values) for name, values in of("tls")},
        routes=tuple(build.route(*item) for item in of("route") if not item[1]["sni"]),
        sni_routes=tuple(build.sni_route(*item) for item in of("route") if item[1]["sni"]),
        upstreams={name: build.upstream(name, values) for name, values in of("upstream")},
        apps=tuple(build.app(*item) for item in of("app")),
    )
