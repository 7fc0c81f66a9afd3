"""Sending a file to a client, a block at a time, as fast as the client takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wsgate.causes import Cause
from wsgate.targets.answer import FileBlocks

if TYPE_CHECKING:
    from wsgate.exchange import Exchange

BLOCK: Final = 64 * 1024

#: Blocks sent in one turn: a client that reads as fast as the disk must not keep the others waiting.
BURST: Final = 8


class Sending:
    """The body of a static answer; a push producer for the client's leg."""

    __slots__ = ("_blocks", "_exchange", "_paused", "_waiting")

    def __init__(self, exchange: Exchange, blocks: FileBlocks) -> None:
        self._exchange = exchange
        self._blocks = blocks
        self._paused = False
        self._waiting = False

    def begin(self) -> None:
        self._exchange.end.feed_from(self)
        self._send()

    def drop(self) -> None:
        """The client has gone."""
        self._paused = True
        self._exchange.end.feed_from(None)
        self._blocks.close()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        if self._paused and self._blocks.remaining:
            self._paused = False
            self._send_soon()

    def stopProducing(self) -> None:
        self.drop()

    def _send_soon(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._exchange.connection.runtime.reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._waiting = False
        if not self._paused:
            self._send()

    def _send(self) -> None:
        answer = self._exchange.end.answer
        for _ in range(BURST):
            if self._paused:
                return
            try:
                block = self._blocks.read(BLOCK)
            except OSError as error:
                self._fail(error.strerror or "read error")
                return
            if not block and self._blocks.remaining:
                self._fail("the file was cut while it was sent")
                return
            answer.body(block)
            if not self._blocks.remaining:
                self._paused = True
                self._blocks.close()
                self._exchange.over(Cause.DONE)
                return
        self._send_soon()

    def _fail(self, detail: str) -> None:
        self.drop()
        self._exchange.log(Cause.INTERNAL, detail)
        self._exchange.end.abort()
