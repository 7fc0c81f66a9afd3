"""Probes as an operator writes them."""

from __future__ import annotations

import pytest

from wsgate.config.model import Probe, ProbeKind
from wsgate.config.probes import probe
from wsgate.config.values import BadValue


def test_each_kind_has_its_words() -> None:
    assert probe("off") is None
    assert probe("tcp") == Probe(ProbeKind.TCP)
    assert probe("tcp interval=1s jitter=0% timeout=500ms rise=1 fall=2") == Probe(
        ProbeKind.TCP, interval=1.0, jitter=0.0, timeout=0.5, rise=1, fall=2
    )
    assert probe("http /health method=HEAD status=200,204-206 body=ok host=a.example") == Probe(
        ProbeKind.HTTP,
        "/health",
        method="HEAD",
        statuses=frozenset({200, 204, 205, 206}),
        body="ok",
        host="a.example",
    )
    assert probe("websocket /chat?room=1 protocol=chat.v2 send=hi expect=ho within=50ms") == Probe(
        ProbeKind.WEBSOCKET, "/chat?room=1", protocol="chat.v2", send="hi", expect="ho", within=0.05
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected off, tcp, http /PATH or websocket /PATH"),
        ("on", "expected off, tcp"),
        ("http", "expected off, tcp"),
        ("http health", "expected off, tcp"),
        ("websocket interval=5s", "expected off, tcp"),
        ("tcp /x", "unknown word /x"),
        ("tcp body=x", "unknown word body=x"),
        ("http / send=x", "unknown word send=x"),
        ("http / status=999", "expected statuses"),
        ("http / status=300-200", "expected statuses"),
        ("http / body=", "expected some text"),
        ("websocket / expect=x", "give both"),
        ("websocket / protocol=a,b", "expected a subprotocol"),
        ("http / host=a/b", "expected a host"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str) -> None:
    with pytest.raises(BadValue, match=told):
        probe(text)
