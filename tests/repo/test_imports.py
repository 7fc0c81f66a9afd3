"""Who may import whom.  The tables are the rule; each row has its reason, and a new row needs one."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.repo.tree import imports, module_of, modules, parsed

FLOOR = ("wire", "routing", "admission", "balance", "observe", "config.model", "causes", "errors")
PATH = (*FLOOR, "config", "tls", "acme", "transport", "relay", "downstream", "upstream", "targets", "registry")

# room: what it may import of the package beside itself, and why.
ROOMS: dict[str, tuple[tuple[str, ...], str]] = {
    "wire": (("errors", "causes"), "bytes to values and back; a violation names its cause"),
    "config": (
        ("errors", "balance.method", "balance.retry"),
        "text to typed values; everything else reads the values",
    ),
    "routing": (("wire", "config.model", "errors", "causes"), "decides on values that were read elsewhere"),
    "admission": (("wire", "config.model", "errors", "causes"), "decides on values that were read elsewhere"),
    "balance": (("config.model", "errors", "causes"), "an order of servers comes from counts and chance alone"),
    "observe": (("config.model", "errors", "causes"), "formats what it is given"),
    "transport": (("errors", "causes"), "moves bytes and knows nothing of what they mean"),
    "tls": (("wire", "config.model", "errors", "causes"), "certificates and names; the legs use its contexts"),
    "acme": (("tls", "config", "errors"), "asks for certificates, apart from what carries traffic"),
    "relay": (("wire", "observe", "transport", "config.model", "errors", "causes"), "two legs, whoever made them"),
    "downstream": (
        (*FLOOR, "tls", "transport", "relay.interfaces", "targets.answer", "targets.errors"),
        "the client's side knows no server; it sends the answers that targets describe",
    ),
    "upstream": ((*FLOOR, "tls", "transport", "relay.interfaces"), "the server's side knows no client"),
    "targets": ((*FLOOR, "transport"), "answers of the gateway's own"),
    "apps": (("config.model", "errors"), "demo servers on real ports: they see the gateway from outside"),
    "control": (
        (*PATH, "apps", "connection", "exchange", "runtime", "open_connections"),
        "builds and steers all the others",
    ),
}

# The rooms that hold no Twisted and do no input or output, so that their tests need neither.
PURE = ("wire", "routing", "admission", "balance", "config", "observe")
IMPURE = {
    "twisted",
    "autobahn",
    "OpenSSL",
    "socket",
    "select",
    "selectors",
    "ssl",
    "asyncio",
    "subprocess",
    "threading",
}
IMPURE_MODULES = {
    "wsgate.observe.sinks": "the one place that writes the access log to a descriptor",
    "wsgate.observe.log_file": "the one place that writes the access log to a descriptor",
}

# Programs, at the top: they choose the reactor and hand it on, and nothing of the package imports them.
PROGRAMS = {
    "wsgate.tap": "what twistd calls",
    "wsgate.service": "the same for a .tac and for embedding; offered by the package itself",
    "wsgate.cli": "the command line; offered by wsgate.__main__",
    "wsgate.apps.command": "one demo server alone, a program too",
    "wsgate.acme.command": "what the gateway runs to get certificates, a program too",
}
OFFERED_BY = {"wsgate": {"wsgate.service"}, "wsgate.__main__": {"wsgate.cli"}, "wsgate.tap": {"wsgate.service"}}


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""


def _within(dotted: str, names: tuple[str, ...]) -> bool:
    return any(dotted == f"wsgate.{name}" or dotted.startswith(f"wsgate.{name}.") for name in names)


def test_every_room_is_in_the_table() -> None:
    rooms = {name.split(".")[1] for name in modules() if name.count(".") >= 2}
    assert rooms <= set(ROOMS), f"say what these rooms may import: {sorted(rooms - set(ROOMS))}"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_what_its_row_allows(room: str) -> None:
    allowed, reason = ROOMS[room]
    wrong = [
        f"{name}:{line} imports {dotted}"
        for name in modules()
        if _room(name) == room
        for line, dotted in imports(name)
        if dotted.startswith("wsgate.") and not _within(dotted, (room, "__version__", *allowed))
    ]
    assert not wrong, f"{room} ({reason}) may import {', '.join(allowed)} only:\n" + "\n".join(wrong)


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_imports_nothing_that_moves_bytes(room: str) -> None:
    wrong = [
        f"{name}:{line} imports {dotted}"
        for name in modules()
        if _room(name) == room and name not in IMPURE_MODULES
        for line, dotted in imports(name)
        if dotted.split(".")[0] in IMPURE
    ]
    assert not wrong, "\n".join(wrong)


def test_only_programs_import_the_reactor() -> None:
    wrong = [
        f"{name}:{line} imports {dotted}"
        for name in modules()
        if name not in PROGRAMS
        for line, dotted in imports(name)
        if dotted == "twisted.internet.reactor" or dotted.startswith("twisted.internet.reactor.")
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_a_program() -> None:
    wrong = [
        f"{name}:{line} imports {dotted}"
        for name in modules()
        for line, dotted in imports(name)
        if module_of(dotted) in PROGRAMS.keys() - {name} - OFFERED_BY.get(name, set())
    ]
    assert not wrong, "\n".join(wrong)


def _typing_only(module: str) -> set[int]:
    """The lines that only a type checker reads."""
    lines: set[int] = set()
    for node in ast.walk(parsed(modules()[module])):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            lines.update(range(node.lineno, (node.body[-1].end_lineno or node.lineno) + 1))
    return lines


def test_modules_import_each_other_in_one_direction() -> None:
    graph = {
        name: {
            module_of(dotted)
            for line, dotted in imports(name)
            if dotted.startswith("wsgate.") and line not in _typing_only(name)
        }
        - {"wsgate", name}
        for name in modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"a circle: {' imports '.join(reversed(error.args[1]))}") from None
