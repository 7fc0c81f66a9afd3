"""A tunnel between two legs on real sockets, moved by hand."""

from __future__ import annotations

from collections.abc import Callable

from tests.transport.leg_ends import Ground, Peer
from wsgate.causes import Cause, Side
from wsgate.relay.interfaces import Ending
from wsgate.relay.tunnel import Tunnel
from wsgate.transport.pipes import PipePool
from wsgate.transport.tcp import TcpLeg
from wsgate.transport.wheel import TICK, TimerWheel


class CountingPool(PipePool):
    """Counts how often a pipe was lent."""

    lent = 0

    def borrow(self) -> tuple[int, int]:
        self.lent += 1
        return super().borrow()


class TunnelRig:
    """The tunnel and the peers of both legs; ``endings`` holds what it told of its end."""

    def __init__(
        self,
        *,
        kind: str = "epoll",
        family: str = "tcp",
        half_close: bool = True,
        idle_timeout: float = 0,
        answer: bytes = b"",
        splice: bool = True,
        buffers: int = 0,
    ) -> None:
        self.ground = Ground(kind)
        self.wheel = TimerWheel(self.ground.reactor)  # type: ignore[arg-type]
        self.pool = CountingPool()
        self.endings: list[Ending] = []
        self.client_leg, self.client = self.ground.leg(family, buffers=buffers)
        self.server_leg, self.server = self.ground.leg(family, buffers=buffers)
        for leg in (self.client_leg, self.server_leg):
            leg.pauseProducing()
            leg.start()
        self.tunnel = Tunnel(
            self.client_leg,
            self.server_leg,
            wheel=self.wheel,
            pipes=self.pool if splice else None,
            half_close=half_close,
            idle_timeout=idle_timeout,
            over=self.endings.append,
            answer=answer,
        )

    def start(self, from_client: bytes = b"", from_server: bytes = b"") -> TunnelRig:
        self.tunnel.start(from_client, from_server)
        return self

    def peers(self, side: Side) -> tuple[Peer, Peer]:
        """The peer on ``side``, and the other one."""
        return (self.client, self.server) if side is Side.CLIENT else (self.server, self.client)

    def legs(self, side: Side) -> tuple[TcpLeg, TcpLeg]:
        """The leg on ``side``, and the other one."""
        return (self.client_leg, self.server_leg) if side is Side.CLIENT else (self.server_leg, self.client_leg)

    def turn(self, times: int = 3) -> None:
        self.ground.turn(times)

    def until(self, fact: Callable[[], object], what: str = "") -> None:
        self.ground.until(fact, what)

    def hear(self, peer: Peer, size: int) -> bytes:
        """Wait until ``peer`` has received so many bytes in all."""
        self.until(lambda: peer.receive() is not None and len(peer.heard) >= size, f"{size} bytes")
        return bytes(peer.heard)

    def hear_end(self, peer: Peer) -> str:
        """Wait for the end of what ``peer`` is sent, reading all of it."""
        self.until(lambda: peer.receive() is not None and peer.end, "an end")
        return peer.end

    def send_all(self, peer: Peer, data: bytes, *, reader: Peer | None = None) -> None:
        """Send ``data`` to its last byte while ``reader`` reads."""
        left = memoryview(data)

        def sent() -> bool:
            nonlocal left
            left = left[peer.send(left) :]
            if reader is not None:
                reader.receive()
            return not left

        self.until(sent)

    def wait(self, seconds: float) -> None:
        """Let time pass, with a turn for each tick."""
        end = self.ground.reactor.seconds() + seconds
        while self.ground.reactor.seconds() < end - 1e-9:
            self.ground.reactor.advance(min(TICK, end - self.ground.reactor.seconds()))
            self.turn(1)

    @property
    def ending(self) -> Ending:
        """How it ended: it must have, once, with nothing left behind."""
        self.until(lambda: self.endings, "the end of the tunnel")
        assert len(self.endings) == 1 and len(self.wheel) == 0
        assert self.client_leg.closed and self.server_leg.closed
        return self.endings[0]

    @property
    def cause(self) -> Cause:
        return self.ending.cause

    def close(self) -> None:
        self.ground.close()
        self.pool.close()
