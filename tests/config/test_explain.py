"""The summary: what would listen and where it would go.  The corpus holds whole ones; here is what they leave out."""

from __future__ import annotations

from pathlib import Path

from wsgate.config.explain import summary
from wsgate.config.load import parse_config


def told(text: str) -> list[str]:
    return summary(parse_config(text, "x.ini", Path("/nowhere"))).splitlines()


def test_listeners_with_the_same_routes_tell_them_once() -> None:
    lines = told("[listener a]\nbind = 127.0.0.1:1\n[listener b]\nbind = 127.0.0.1:2\n[route r]\nrespond = 200 hi\n")
    assert lines[2:] == [
        "a: http on 127.0.0.1:1 (Layer 7)",
        "  / -> answer 200 hi",
        "",
        "b: http on 127.0.0.1:2 (Layer 7)",
        "  the routes of a",
    ]


def test_only_what_is_there_is_counted() -> None:
    text = "[listener a]\nbind = 127.0.0.1:1\nmode = tcp\nupstream = u\n[upstream u]\nservers = b:1, b:2 weight=3\n"
    assert told(text) == [
        "x.ini: 1 listener, 1 upstream",
        "",
        "a: tcp on 127.0.0.1:1 (Layer 4)",
        "  everything -> upstream u",
        "",
        "upstreams",
        "  u  round_robin: b:1, b:2 weight=3",
    ]


def test_tls_to_servers_is_told() -> None:
    text = "[listener a]\nbind = 127.0.0.1:1\n[route r]\nupstream = u\n[upstream u]\nservers = b:1\ntls = on\n"
    assert told(text)[-1] == "  u  round_robin, TLS: b:1"
