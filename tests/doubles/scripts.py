"""What a scripted server can do on a connection."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.doubles.frames import CLOSE, accept_for, encode, read_frame
from tests.doubles.http import Message, read_body, read_head
from tests.doubles.peers import Script
from tests.doubles.raw import EndOfStream, Wire

HEAD_END = b"\r\n\r\n"


def accepts_only(wire: Wire) -> None:
    """Take the connection and neither read nor write."""
    wire.hold()


def reads_only(wire: Wire) -> None:
    """Read until the peer ends the stream, and say nothing."""
    while wire.some():
        pass


def echoes(wire: Wire) -> None:
    """Send back what comes, until the peer ends its stream."""
    while data := wire.some():
        wire.send(data)


def in_turn(*scripts: Script) -> Script:
    """One script after the other on the same connection."""

    def run(wire: Wire) -> None:
        for script in scripts:
            script(wire)

    return run


def sends(data: bytes) -> Script:
    """Send ``data`` without being asked."""
    return lambda wire: wire.send(data)


def sends_sliced(data: bytes, size: int = 1) -> Script:
    """Send ``data`` in writes of ``size`` bytes."""
    return lambda wire: wire.send_sliced(data, size)


def floods(total: int, piece: bytes = b"\x00" * 65_536) -> Script:
    """Send ``total`` bytes as fast as they are taken."""

    def run(wire: Wire) -> None:
        for _ in range(total // len(piece)):
            wire.send(piece)
        wire.send(piece[: total % len(piece)])

    return run


def waits_for(marker: bytes = HEAD_END) -> Script:
    """Read up to and with ``marker``."""

    def run(wire: Wire) -> None:
        wire.until(marker)

    return run


def reads(size: int) -> Script:
    """Read ``size`` bytes."""

    def run(wire: Wire) -> None:
        wire.exactly(size)

    return run


def answers(data: bytes, marker: bytes = HEAD_END) -> Script:
    """Read up to ``marker``, then send ``data``."""
    return in_turn(waits_for(marker), sends(data))


def half_closes(wire: Wire) -> None:
    """End the sending direction, then read until the peer ends too."""
    wire.half_close()
    reads_only(wire)


def resets(wire: Wire) -> None:
    """Abort the connection."""
    wire.reset()


def holds(wire: Wire) -> None:
    """Do nothing more until the server stops."""
    wire.hold()


def upgrades(then: Script = holds, *fields: str, accept: str | None = None, behind: bytes = b"") -> Script:
    """Answer a WebSocket request with 101 and go on with ``then``.

    ``fields`` are further header lines, ``accept`` replaces the right Sec-WebSocket-Accept, ``behind`` are bytes in the
    same write as the answer.
    """

    def run(wire: Wire) -> None:
        head = wire.until(HEAD_END)
        found = re.search(rb"(?i)\r\nsec-websocket-key:[ \t]*([^\r]*)", head)
        assert found, f"no WebSocket request: {head!r}"
        right = accept_for(found[1].decode().strip())
        lines = (
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {right if accept is None else accept}",
            *fields,
        )
        wire.send("".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + behind)
        then(wire)

    return run


def echoes_frames(wire: Wire) -> None:
    """A WebSocket server behind its handshake: every frame comes back unmasked; a Close ends the connection."""
    while True:
        frame = read_frame(wire)
        wire.send(encode(frame.opcode, frame.payload, fin=frame.fin, rsv=frame.rsv, mask=b""))
        if frame.opcode == CLOSE:
            return


def serves_http(respond: Callable[[Message], bytes]) -> Script:
    """Read request after request on a kept connection and send what ``respond`` makes of each."""

    def run(wire: Wire) -> None:
        while True:
            try:
                request = read_head(wire)
            except EndOfStream:
                return
            read_body(wire, request, until_end=False)
            wire.send(respond(request))

    return run
