"""Relays whose server can be lost, and is found again when the test says so."""

from __future__ import annotations

import socket
from typing import Any

from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tests.doubles.legs import MemoryLeg, Soon
from tests.relay import frame_rig
from tests.relay.message_rig import Peer, Rig
from wsgate.causes import Side
from wsgate.relay.holding import HoldingFrames
from wsgate.relay.holding_messages import HoldingMessages
from wsgate.relay.interfaces import Held


class KnownLeg(MemoryLeg):
    """A leg with a socket beside it, which tells whether the peer has left as the kernel would."""

    def __init__(self, soon: Soon, room: int = 1 << 40, *, half_closes: bool = True) -> None:
        super().__init__(soon, room, half_closes=half_closes)
        self._here, self._there = socket.socketpair()

    def fileno(self) -> int:
        return self._here.fileno()

    def leave(self) -> None:
        """The peer goes; nobody has been told."""
        self._there.close()

    def release(self) -> None:
        for end in (self._here, self._there):
            end.close()


class Finder:
    """Finds the next server when the test does."""

    def __init__(self, buffer: int, replay: int) -> None:
        self.buffer = buffer
        self.replay = replay
        self.relay: Held | None = None
        self.stopped = 0

    def begin(self, relay: Held) -> None:
        assert self.relay is None, "it is searched for one server at a time"
        self.relay = relay

    def stop(self) -> None:
        self.relay = None
        self.stopped += 1

    def found(self, leg: MemoryLeg, initial: bytes = b"") -> None:
        relay, self.relay = self.relay, None
        assert relay is not None, "nobody looks for a server"
        assert relay.replace_leg(Side.SERVER, leg, initial)


class HoldingRig(Rig):
    """A rig of ``messages`` whose server can be lost; ``server`` is the one that is spoken with now."""

    def __init__(self, buffer: int = 65_536, replay: int = 0, **options: Any) -> None:
        self.finder = Finder(buffer, replay)
        self.legs: list[KnownLeg] = []
        super().__init__(redial=self.finder, server_leg=KnownLeg, **options)
        self.legs.append(_known(self.server.leg))

    def lose(self) -> None:
        """The server crashes."""
        self.legs[-1].leave()
        self.server.leg.reset()
        self.settle()

    @property
    def held(self) -> bool:
        """Whether there is no server now."""
        assert isinstance(self.relay, HoldingMessages)
        return self.relay.kept.is_held

    @property
    def searches(self) -> bool:
        return self.finder.relay is not None

    def find(self, room: int = 1 << 40, initial: bytes = b"") -> None:
        """Another server takes over."""
        leg = KnownLeg(self._soon, room)
        self.legs.append(leg)
        self.server = Peer(leg, ServerProtocol(state=OPEN, max_size=None))
        self.finder.found(leg, initial)
        self.settle()


class HoldingFrameRig(frame_rig.Rig):
    """A rig of ``frames`` whose server can be lost; ``server`` is the one that is spoken with now."""

    def __init__(self, buffer: int = 65_536, replay: int = 0, **options: Any) -> None:
        self.finder = Finder(buffer, replay)
        self.legs: list[KnownLeg] = []
        super().__init__(redial=self.finder, server_leg=KnownLeg, **options)
        self.legs.append(_known(self.server.leg))

    @property
    def held(self) -> bool:
        """Whether there is no server now."""
        assert isinstance(self.relay, HoldingFrames)
        return self.relay.kept.is_held

    @property
    def searches(self) -> bool:
        return self.finder.relay is not None

    def find(self) -> None:
        """Another server takes over."""
        leg = KnownLeg(self._soon)
        self.legs.append(leg)
        self.server = frame_rig.Peer(Side.SERVER, leg)
        self.finder.found(leg)
        self.settle()


def _known(leg: MemoryLeg) -> KnownLeg:
    assert isinstance(leg, KnownLeg)
    return leg
