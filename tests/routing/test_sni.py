"""The choice of a route by the TLS hello."""

from __future__ import annotations

import pytest

from wsgate.config.model import SniRoute
from wsgate.routing.sni import SniTable


def route(name: str, *sni: str, alpn: tuple[str, ...] = (), listeners: tuple[str, ...] = ("raw",)) -> SniRoute:
    return SniRoute(name, listeners, sni, alpn, False, "u")


def chosen(table: SniTable, name: str | None, *protocols: bytes) -> str:
    found = table.choose(name, protocols)
    return found.name if found else ""


TABLE = SniTable(
    [
        route("wide", "*.example.org"),
        route("deep", "*.b.example.org"),
        route("exact", "a.example.org", "c.b.example.org"),
        route("web", "w.example.org", alpn=("h2", "http/1.1")),
        route("mqtt", "w.example.org", "any", alpn=("mqtt",)),
        route("other", "x.example.net", listeners=("another",)),
        route("plain", "none"),
    ],
    "raw",
)


@pytest.mark.parametrize(
    ("name", "protocols", "expected"),
    [
        ("a.example.org", (), "exact"),
        ("A.Example.ORG.", (), "exact"),
        ("z.example.org", (), "wide"),
        ("z.y.example.org", (), "wide"),
        ("z.b.example.org", (), "deep"),
        ("z.y.b.example.org", (), "deep"),
        ("c.b.example.org", (), "exact"),
        ("example.org", (), ""),
        ("b.example.org", (), "wide"),
        ("w.example.org", (b"http/1.1",), "web"),
        ("w.example.org", (b"mqtt", b"h2"), "web"),
        ("w.example.org", (b"mqtt",), "mqtt"),
        ("w.example.org", (b"smtp",), "wide"),
        ("w.example.org", (), "wide"),
        ("stranger.example", (b"mqtt",), "mqtt"),
        ("stranger.example", (), ""),
        ("x.example.net", (), ""),
        (None, (b"mqtt",), "mqtt"),
        (None, (), ""),
        ("none", (), ""),
    ],
)
def test_the_most_exact_name_wins_then_the_first_with_a_protocol(
    name: str | None, protocols: tuple[bytes, ...], expected: str
) -> None:
    assert chosen(TABLE, name, *protocols) == expected


def test_who_speaks_no_tls_has_a_route_of_its_own() -> None:
    assert TABLE.without_tls is not None
    assert TABLE.without_tls.name == "plain"
    assert SniTable([route("a", "any")], "raw").without_tls is None


def test_a_table_without_routes_for_its_listener_is_empty() -> None:
    assert TABLE
    assert not SniTable([route("a", "any")], "elsewhere")
    assert SniTable([route("plain", "none")], "raw")


def test_a_name_with_a_hundred_labels_is_looked_up_label_by_label() -> None:
    assert chosen(TABLE, "a." * 100 + "example.org") == "wide"
    assert chosen(TABLE, "." * 200) == ""
