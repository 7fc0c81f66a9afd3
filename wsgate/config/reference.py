"""Texts made from the table of options: the reference page and the commented sample."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from wsgate.config.kinds import Kind
from wsgate.config.options import SECTIONS, Option, SectionKind, of_section

_WIDTH = 100

_SYNTAX = """\
.. Made by ``wsgate options --page`` from wsgate/config/options.py; change that table and make it anew.

The configuration
=================

wsgate is configured by one INI file. ``wsgate check --config FILE`` tells every problem in it, each with its line, or
what would listen and where it would go; ``wsgate options`` prints all options as a sample to copy from.

.. code-block:: ini

    ; a comment is a line that begins with ; or #
    [listener web]
    bind = 127.0.0.1:8080, [::1]:8080     ; or the rest of a line from a ; behind a blank

    [upstream chat]
    servers =                             ; a list goes by comma or by line:
        127.0.0.1:9001 weight=2           ; deeper indented lines continue the option above
        127.0.0.1:9002

A section is ``[kind]`` or ``[kind name]``; names are yours, and other sections refer to them. Unknown sections and
options are refused, so is whatever stands twice, and so is an option that would have no effect where it stands. Every
option without a value here has the default that this page gives. Relative paths are relative to the INI's directory.
Nothing is expanded in values, and quotation marks are characters like others.
"""


def reference(options: Iterable[Option]) -> str:
    """The reference page, in reStructuredText."""
    return "\n".join(_page(list(options))) + "\n"


def _page(options: list[Option]) -> Iterator[str]:
    yield _SYNTAX
    for kind, section in SECTIONS.items():
        yield section.header
        yield "-" * len(section.header)
        yield ""
        yield section.doc
        yield ""
        for option in of_section(kind, options).values():
            yield f"``{option.name}``"
            yield f"    *{option.kind.name}*, {_default(option)}."
            yield from _wrapped(option.doc, "    ")
            yield ""
    yield "Kinds of values"
    yield "---------------"
    yield ""
    for name, kind_doc in sorted(_kinds(options)):
        yield f"*{name}*"
        yield from _wrapped(kind_doc, "    ")
        yield ""


def _default(option: Option) -> str:
    if option.default is None:
        return f"must be given, for example ``{option.example}``"
    if option.default == "":
        return f"nothing by default, for example ``{option.example}``"
    return f"by default ``{option.default}``"


def _kinds(options: list[Option]) -> set[tuple[str, str]]:
    """Names and texts of the kinds that the options have; a choice of words explains itself."""
    kinds: set[Kind] = {option.kind for option in options}
    return {(kind.name, kind.doc) for kind in kinds if kind.doc}


def sample(options: Iterable[Option]) -> str:
    """Every option as a comment, with what it means and its default: a file to copy from."""
    return "\n".join(_sample(list(options))) + "\n"


def _sample(options: list[Option]) -> Iterator[str]:
    yield "; Every section and option of wsgate. Text is behind '; ', what can be used is behind ';' alone."
    for kind, section in SECTIONS.items():
        yield ""
        yield from _wrapped(section.doc, "; ")
        yield f";{_example_header(section)}"
        for option in of_section(kind, options).values():
            yield ""
            yield from _wrapped(f"{option.doc} ({option.kind.name}; {_plain_default(option)})", "; ")
            yield f";{option.name} = {option.shown}"


def _example_header(section: SectionKind) -> str:
    return f"[{section.kind} main]" if section.named else f"[{section.kind}]"


def _plain_default(option: Option) -> str:
    if option.default is None:
        return "must be given"
    return f"default {option.default}" if option.default else "no default"


def _wrapped(text: str, prefix: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False, break_long_words=False
    )
