"""A proxy in user space that does to a connection what networks and peers do."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass

from tests.doubles.peers import ScriptedServer
from tests.doubles.raw import Wire, connect
from tests.doubles.stopping import Stopping


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one direction; the default lets everything pass.

    ``slice`` cuts into writes of at most so many bytes, ``delay`` holds each write back for so many seconds,
    ``stall_after``, ``reset_after`` and ``end_after`` let so many bytes pass and then hold the rest back, abort both
    sides or end both, and ``read`` off takes no byte at all.
    """

    slice: int = 0
    delay: float = 0.0
    stall_after: int | None = None
    reset_after: int | None = None
    end_after: int | None = None
    read: bool = True

    @property
    def limit(self) -> int | None:
        """How many bytes pass before the fault strikes; None: all."""
        limits = [n for n in (self.stall_after, self.reset_after, self.end_after) if n is not None]
        return min(limits) if limits else None


CLEAR = Fault()


class _Pump:
    """One direction of one connection."""

    def __init__(self, source: Wire, sink: Wire, fault: Fault) -> None:
        self._source, self._sink, self._fault = source, sink, fault
        self.passed = 0

    def run(self) -> None:
        try:
            self._run()
        except OSError:
            self._abort()

    def _run(self) -> None:
        if not self._fault.read:
            self._source.hold()
            return
        limit = self._fault.limit
        while limit is None or self.passed < limit:
            data = self._source.some()
            if not data:
                with contextlib.suppress(OSError):
                    self._sink.sock.shutdown(socket.SHUT_WR)
                return
            self._pass_on(data if limit is None else data[: limit - self.passed])
        self._strike()

    def _pass_on(self, data: bytes) -> None:
        size = self._fault.slice or len(data)
        for start in range(0, len(data), size):
            if self._fault.delay and self._source.released.wait(self._fault.delay):
                return
            piece = data[start : start + size]
            self._sink.send(piece)
            self.passed += len(piece)

    def _strike(self) -> None:
        if self._fault.reset_after is not None:
            self._abort()
        elif self._fault.end_after is not None:
            self._end()
        else:
            self._source.hold()

    def _end(self) -> None:
        for wire in (self._sink, self._source):
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)

    def _abort(self) -> None:
        for wire in (self._sink, self._source):
            with contextlib.suppress(OSError):
                wire.reset()


class FaultProxy(Stopping):
    """Listens, connects each client to ``target`` and does ``up`` to what clients send, ``down`` to what they get.

    Both can be replaced while it runs; connections that are there keep what they had.
    """

    def __init__(self, target: tuple[str, int] | str, *, up: Fault = CLEAR, down: Fault = CLEAR) -> None:
        self.target = target
        self.up, self.down = up, down
        self._dialled: list[Wire] = []
        self._server = ScriptedServer(self._relay, timeout=60.0)

    @property
    def where(self) -> tuple[str, int] | str:
        return self._server.where

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def address(self) -> str:
        return self._server.address

    def _relay(self, client: Wire) -> None:
        with connect(self.target, timeout=60.0) as server:
            self._dialled.append(server)
            server.released = client.released
            back = threading.Thread(target=_Pump(server, client, self.down).run, name="fault proxy", daemon=True)
            back.start()
            _Pump(client, server, self.up).run()
            back.join()

    def stop(self) -> None:
        """End every connection and stop listening."""
        for wire in self._dialled:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)
        self._server.stop()
