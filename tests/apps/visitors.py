"""A visitor without a WebSocket: it keeps what an application sends to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wsgate.apps.visitor import Application


class FakeVisitor:
    """``sent`` holds the raw messages; ``lagging`` is set by the test."""

    def __init__(self, path: str = "/", query: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.query = query or {}
        self.lagging = False
        self.sent: list[tuple[bytes, bool]] = []

    def send(self, payload: bytes, binary: bool = False) -> None:
        self.sent.append((payload, binary))

    def told(self) -> list[dict[str, Any]]:
        """The JSON messages since the last call."""
        assert not any(binary for _, binary in self.sent)
        messages = [json.loads(payload) for payload, _ in self.sent]
        self.sent.clear()
        return messages

    def types(self) -> list[str]:
        """The types of the JSON messages since the last call."""
        return [message["type"] for message in self.told()]


def visit(app: Application, path: str = "/", **query: str) -> FakeVisitor:
    """A visitor who has just come; its greeting is still unread."""
    visitor = FakeVisitor(path, query)
    app.opened(visitor)
    return visitor


def say(app: Application, visitor: FakeVisitor, **message: object) -> list[dict[str, Any]]:
    """Send one JSON message; what the visitor was told in answer."""
    visitor.told()
    app.received(visitor, json.dumps(message).encode(), False)
    return visitor.told()
