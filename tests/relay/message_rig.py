"""A ``messages`` relay between two legs in memory; its peers are by the ``websockets`` library, without I/O."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tests.doubles.legs import MemoryLeg
from tests.doubles.relay_limits import NO_LIMITS
from wsgate.causes import Cause
from wsgate.config.model import PathKind, PathPattern, ProxyTarget, RelayKind, RelayLimits, Route
from wsgate.relay.choice import websocket_relay
from wsgate.relay.interfaces import Ending, Opening, Redial, WebSocketLegs
from wsgate.relay.messages import Messages
from wsgate.transport.pipes import PipePool
from wsgate.transport.wheel import TICK, TimerWheel
from wsgate.wire.fields import Fields, encode_response
from wsgate.wire.ws_handshake import Agreed, Upgrade, accept_for

DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


def limits(**changes: Any) -> RelayLimits:
    """No limits but these."""
    values = {name: getattr(NO_LIMITS, name) for name in RelayLimits.__dataclass_fields__}
    return RelayLimits(**values | changes)


def route(bounds: RelayLimits, compression: str = "off", on_message: str = "") -> Route:
    return Route(
        name="chat",
        listeners=(),
        hosts=(),
        path=PathPattern(PathKind.PREFIX, "/"),
        target=ProxyTarget("chat"),
        websocket=RelayKind.MESSAGES,
        strip_prefix=False,
        rewrite="",
        methods=(),
        origins=(),
        extensions="pass",
        compression=compression,
        on_message=on_message,
        encoded_slash="refuse",
        max_body=0,
        limits=bounds,
    )


class Peer:
    """One end of the WebSocket.  ``frames`` are all that it heard; it reads unless ``reads`` is False."""

    def __init__(self, leg: MemoryLeg, protocol: Protocol) -> None:
        self.leg = leg
        self.protocol = protocol
        self.frames: list[Frame] = []
        self.head = b""
        self.reads = True
        self._eof = False

    def text(self, message: str) -> None:
        self.protocol.send_text(message.encode())

    def binary(self, message: bytes) -> None:
        self.protocol.send_binary(message)

    def close(self, code: int | None = None, reason: str = "") -> None:
        self.protocol.send_close(code, reason)

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that it heard; each is one frame."""
        found: list[str | bytes] = []
        for frame in self.frames:
            if frame.opcode in DATA:
                assert frame.fin and frame.opcode is not Opcode.CONT
                data = bytes(frame.data)
                found.append(data.decode() if frame.opcode is Opcode.TEXT else data)
        return found

    def controls(self, opcode: Opcode) -> list[bytes]:
        """The payloads of the control frames of one kind that it heard."""
        return [bytes(frame.data) for frame in self.frames if frame.opcode is opcode]

    @property
    def heard_close(self) -> tuple[int, str] | None:
        """The Close that it heard; code 1005 for an empty one."""
        close = self.protocol.close_rcvd
        return (close.code, close.reason) if close is not None else None

    def move(self) -> bool:
        """Send what the protocol has to say and hear what came; whether there was any of both."""
        moved = False
        for data in self.protocol.data_to_send():
            moved = True
            if data:
                self.leg.arrive(data)
            elif not self.leg.closed:
                self.leg.end()
        data = self.leg.take_all() if self.reads else b""
        if data and isinstance(self.protocol, ClientProtocol) and not self.head:
            self.head, _, rest = data.partition(b"\r\n\r\n")
        if data:
            self.protocol.receive_data(data)
        elif (self.leg.closed or self.leg.write_ended) and self.reads and not self._eof:
            self._eof = moved = True
            self.protocol.receive_eof()
        self.frames += [event for event in self.protocol.events_received() if isinstance(event, Frame)]
        return moved or bool(data)


class Rig:
    """The relay, its clock, and its two peers; ``endings`` holds what it told of its end."""

    def __init__(
        self,
        bounds: RelayLimits | None = None,
        *,
        compression: str = "off",
        on_message: str = "",
        subprotocol: str | None = None,
        offers_deflate: bool = False,
        fields: Fields | None = None,
        room: int = 1 << 40,
        half_closes: bool = True,
        random: Callable[[int], bytes] | None = None,
        redial: Redial | None = None,
        server_leg: type[MemoryLeg] = MemoryLeg,
    ) -> None:
        self.clock = Clock()
        self._later = 0  # calls that come at the end of this turn
        self.wheel = TimerWheel(self.clock)  # type: ignore[arg-type]
        self.endings: list[Ending] = []
        bounds = bounds or limits()
        extensions = [ClientPerMessageDeflateFactory()] if offers_deflate else None
        client = ClientProtocol(
            parse_uri("ws://localhost/"),
            extensions=extensions,
            subprotocols=[subprotocol, "other"] if subprotocol else None,  # type: ignore[list-item]
            max_size=None,
        )
        request = client.connect()
        client.send_request(request)
        client.data_to_send()
        headers = request.headers
        key = headers["Sec-WebSocket-Key"].encode()
        protocol = subprotocol.encode() if subprotocol else None
        self.client = Peer(MemoryLeg(self._soon, room, half_closes=half_closes), client)
        self.server = Peer(server_leg(self._soon, room), ServerProtocol(state=OPEN, max_size=None))
        handshake: Fields = [
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", accept_for(key)),
            *([(b"Sec-WebSocket-Protocol", protocol)] if protocol else []),
        ]
        answer = handshake + (fields or [])
        offered = (protocol, b"other") if protocol else ()
        upgrade = Upgrade(key, offered, headers.get("Sec-WebSocket-Extensions", "").encode())
        opening = Opening(
            upgrade,
            Agreed(protocol, b""),
            answer,
            encode_response(101, b"Switching Protocols", answer),
            "192.0.2.7",
            "example.org",
            "/chat",
            "chat",
            False,
        )
        counter = itertools.count(1)
        relay = websocket_relay(
            route(bounds, compression, on_message),
            WebSocketLegs(
                self.client.leg,
                self.server.leg,
                opening,
                bounds,
                self.clock,  # type: ignore[arg-type]
                self.wheel,
                PipePool(),
                random or (lambda size: next(counter).to_bytes(size, "big")),
                self.endings.append,
                redial,
            ),
        )
        assert isinstance(relay, Messages)
        self.relay = relay

    def start(self, from_client: bytes = b"", from_server: bytes = b"") -> Rig:
        self.relay.start(from_client, from_server)
        self.settle()
        return self

    def settle(self) -> None:
        """Let everything happen that happens without time."""
        moved = True
        while moved:
            self.clock.advance(0)
            moved = any([self.client.move(), self.server.move(), self._later > 0])

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps in which everything happens that can."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end - 1e-9:
            self.clock.advance(min(TICK, end - self.clock.seconds()))
            self.settle()

    @property
    def ending(self) -> Ending:
        """How it ended; it must have, and once."""
        assert len(self.endings) == 1, self.endings
        return self.endings[0]

    @property
    def cause(self) -> Cause:
        return self.ending.cause

    def _soon(self, call: Callable[[], None]) -> None:
        self._later += 1
        self.clock.callLater(0, self._now, call)

    def _now(self, call: Callable[[], None]) -> None:
        self._later -= 1
        call()
