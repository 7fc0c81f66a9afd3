"""``echo``: every message comes back as it is, text or binary, and so do a Close's code and reason.

It answers with the subprotocol that the client names first, so that any client's handshake can be tried against it.
"""

from __future__ import annotations

from wsgate.apps.visitor import Visitor


class Echo:
    """Keeps nothing."""

    subprotocols = ("*",)

    def opened(self, visitor: Visitor) -> None:
        """Wait for the visitor to speak first."""

    def received(self, visitor: Visitor, payload: bytes, binary: bool) -> None:
        """Send it back."""
        visitor.send(payload, binary)

    def closed(self, visitor: Visitor) -> None:
        """Nothing to forget."""
