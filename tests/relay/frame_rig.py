"""A ``frames`` relay between two legs in memory; its peers speak raw frames and check every byte that they hear."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

from twisted.internet.task import Clock

from tests.doubles import frames
from tests.doubles.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, encode
from tests.doubles.legs import MemoryLeg
from tests.relay.message_rig import limits
from wsgate.causes import Cause, Side
from wsgate.config.model import RelayLimits
from wsgate.relay.frames import Frames
from wsgate.relay.holding import HoldingFrames
from wsgate.relay.interfaces import Ending, Opening, Redial, WebSocketLegs
from wsgate.transport.pipes import PipePool
from wsgate.transport.wheel import TICK, TimerWheel
from wsgate.wire.ws_handshake import Agreed, Upgrade

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
CONTROLS = (CLOSE, PING, PONG)


def take_frame(data: bytearray) -> Frame | None:
    """The first frame in ``data``, taken out of it; None where it is not complete."""
    if len(data) < 2:
        return None
    size, at = data[1] & 0x7F, 2
    if size >= 126:
        wide = 2 if size == 126 else 8
        size, at = int.from_bytes(data[at : at + wide], "big"), at + wide
    mask = bytes(data[at : at + 4]) if data[1] & 0x80 else b""
    at += len(mask)
    if len(data) < at + size:
        return None
    payload = bytes(data[at : at + size])
    if mask:
        payload = bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))
    first = data[0]
    del data[: at + size]
    return Frame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 7, bool(mask))


class Peer:
    """One end of the WebSocket.  ``heard`` are the frames that reached it, ``rest`` the start of an unfinished one."""

    def __init__(self, side: Side, leg: MemoryLeg) -> None:
        self.side = side
        self.leg = leg
        self.mask = frames.MASK if side is Side.CLIENT else b""
        self.heard: list[Frame] = []
        self.rest = bytearray()
        self.raw = bytearray()
        self.reads = True
        self._closed = False

    # What it says

    def encode(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
        """A frame of its own, masked as it should be."""
        return encode(opcode, payload, fin=fin, rsv=rsv, mask=self.mask)

    def say(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        self.leg.arrive(self.encode(opcode, payload, fin=fin))

    def text(self, message: str) -> None:
        self.say(TEXT, message.encode())

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        self.leg.arrive(frames.close(code, reason, mask=self.mask))

    # What it hears

    def listen(self, most: int = 1 << 40) -> None:
        """Read at most so many bytes."""
        data = self.leg.take(most) if most < 1 << 40 else self.leg.take_all()
        self.raw += data
        self.rest += data
        while (frame := take_frame(self.rest)) is not None:
            assert not self._closed, f"{frame} behind a Close"
            self._closed = frame.opcode == CLOSE
            assert frame.masked == (self.side is Side.SERVER)
            self.heard.append(frame)

    @property
    def close_heard(self) -> tuple[int, str] | None:
        """The code and reason of the Close that it heard."""
        closes = [frame for frame in self.heard if frame.opcode == CLOSE]
        return (closes[0].close_code, closes[0].close_reason) if closes else None

    @property
    def texts(self) -> list[str]:
        return [frame.payload.decode() for frame in self.heard if frame.opcode == TEXT]

    def payloads(self, *opcodes: int) -> list[bytes]:
        return [frame.payload for frame in self.heard if frame.opcode in opcodes]

    @property
    def data(self) -> bytes:
        """The payload of all data frames."""
        return b"".join(self.payloads(TEXT, BINARY, CONTINUATION))


class Rig:
    """The relay, its clock and its two peers, which read unless told otherwise; ``endings`` holds what it told.

    ``buffer`` is that of the route; with 0 whoever is fed is waited for as soon as a byte is left over.
    """

    def __init__(
        self,
        bounds: RelayLimits | None = None,
        *,
        extensions: bytes = b"",
        room: int = 1 << 40,
        buffer: int = 0,
        half_closes: bool = True,
        random: Callable[[int], bytes] | None = None,
        redial: Redial | None = None,
        server_leg: type[MemoryLeg] = MemoryLeg,
    ) -> None:
        self.clock = Clock()
        self._later = 0
        self.wheel = TimerWheel(self.clock)  # type: ignore[arg-type]
        self.endings: list[Ending] = []
        self.client = Peer(Side.CLIENT, MemoryLeg(self._soon, room, half_closes=half_closes))
        self.server = Peer(Side.SERVER, server_leg(self._soon, room, half_closes=half_closes))
        counter = itertools.count(1)
        opening = Opening(
            Upgrade(b"", (), extensions), Agreed(None, extensions), [], ANSWER, "192.0.2.7", "a", "/", "r", False
        )
        legs = WebSocketLegs(
            self.client.leg,
            self.server.leg,
            opening,
            replace(bounds or limits(), buffer=buffer),
            self.clock,  # type: ignore[arg-type]
            self.wheel,
            PipePool(),
            random or (lambda size: next(counter).to_bytes(size, "big")),
            self.endings.append,
        )
        self.relay = Frames(legs) if redial is None else HoldingFrames(legs, redial)

    def start(self, from_client: bytes = b"", from_server: bytes = b"") -> Rig:
        self.relay.start(from_client, from_server)
        assert self.client.leg.take(len(ANSWER)) == ANSWER
        self.settle()
        return self

    def settle(self) -> None:
        """Let everything happen that happens without time."""
        while True:
            self.clock.advance(0)
            for peer in (self.client, self.server):
                if peer.reads:
                    peer.listen()
            if not self._later:
                return

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps in which everything happens that can."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end - 1e-9:
            self.clock.advance(min(TICK, end - self.clock.seconds()))
            self.settle()

    def peers(self, side: Side) -> tuple[Peer, Peer]:
        """The peer on ``side``, and the other one."""
        return (self.client, self.server) if side is Side.CLIENT else (self.server, self.client)

    @property
    def ending(self) -> Ending:
        """How it ended; it must have, and once, and nothing is left behind."""
        assert len(self.endings) == 1, self.endings
        assert len(self.wheel) == 0, "a timer is left"
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
