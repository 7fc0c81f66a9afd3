"""What a reload tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wsgate.config.load import parse_config
from wsgate.config.model import Address, Server
from wsgate.control.changes import changes, fixed
from wsgate.control.material import Material
from wsgate.tls.material import TlsMaterial

BASE = """
[gateway]
workers = 2
[listener web]
bind = 127.0.0.1:8080
[route one]
path = /one
upstream = pool
[route two]
path = /two
upstream = pool
[upstream pool]
servers = app.example.org:80
"""


def material(text: str = BASE, key: bytes = b"key", address: str = "192.0.2.1") -> Material:
    config = parse_config(text, "test.ini", Path("/"))
    return Material(config, {"site": TlsMaterial(b"certificate", key)}, {}, {"app.example.org:80": (address,)})


def test_nothing_different_is_nothing_told() -> None:
    assert changes(material(), material()) == []


def test_sections_come_go_and_change() -> None:
    after = BASE.replace("[route two]\npath = /two", "[route three]\npath = /three").replace("/one", "/uno")
    assert changes(material(), material(after.replace("workers = 2", "workers = 3"))) == [
        "[gateway] changed: workers",
        "[route two] removed",
        "[route one] changed: path",
        "[route three] added",
    ]


def test_bytes_are_told_of_but_never_told() -> None:
    (line,) = changes(material(), material(key=b"secret"))
    assert line == "[tls site] new bytes: key"


def test_names_that_resolve_to_something_else() -> None:
    assert changes(material(), material(address="192.0.2.9")) == ["app.example.org:80: now 192.0.2.9"]


def test_files_and_records_that_name_other_servers() -> None:
    before = material(BASE.replace("app.example.org:80", "srv:_ws._tcp.example.org"))
    one, two = (Server(Address("192.0.2.1", port)) for port in (80, 81))
    known, more, none = (
        replace(before, found={"pool/srv:_ws._tcp.example.org": servers}) for servers in ((one,), (one, two), ())
    )
    assert changes(known, known) == []
    assert changes(before, known) == ["[upstream pool] srv:_ws._tcp.example.org: now 192.0.2.1:80"]
    assert changes(known, more) == ["[upstream pool] srv:_ws._tcp.example.org: now 192.0.2.1:80, 192.0.2.1:81"]
    assert changes(known, none) == ["[upstream pool] srv:_ws._tcp.example.org: now no server"]


def test_what_only_a_new_process_can_do() -> None:
    before = material().config
    assert fixed(before, before) == []
    alone = parse_config(BASE.replace("workers = 2", "workers = 1"), "test.ini", Path("/"))
    (line,) = fixed(before, alone)
    assert "wsgate upgrade" in line
    assert fixed(before, parse_config(BASE.replace("workers = 2", "workers = auto"), "test.ini", Path("/"))) == []
    moved = parse_config(BASE.replace("[gateway]", "[gateway]\nstate_dir = /elsewhere"), "test.ini", Path("/"))
    assert "state_dir" in fixed(before, moved)[0]
