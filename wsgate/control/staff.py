"""The processes of a parent, each in a place: who ends unasked has a successor, and none that crashes has one at once.

Places are numbers: workers have those from 1 on, ``CONTROL`` and ``APPS`` are the control process and the demo servers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from twisted.logger import Logger

from wsgate.control.backoff import Backoff
from wsgate.control.hand import APPS, CONTROL, Hand, State, name_of
from wsgate.errors import WsgateError

_log = Logger("wsgate.control")

#: Seconds until a process is tried again that could not even be forked.
AGAIN = 1.0

#: Places are numbered below this.
_MOST = 1000


class Staff:
    """``begin(number)`` forks a process for a place; ``ended(hand)`` is called when one is gone, whyever."""

    def __init__(self, reactor: Any, begin: Callable[[int], Hand], ended: Callable[[Hand], None]) -> None:
        self._reactor = reactor
        self._begin = begin
        self._told = ended
        self._hands: list[Hand] = []
        #: Places whose next process comes later: the call that starts it, or None where it is due and we are held.
        self._waiting: dict[int, Any] = {}
        self._wanted = (0, frozenset[int]())
        self._held = False
        self._stopping = False
        self.backoff = Backoff()

    @property
    def everyone(self) -> list[Hand]:
        """All that can be asked something."""
        return [hand for hand in self._hands if hand.linked]

    @property
    def workers(self) -> list[Hand]:
        return [hand for hand in self.everyone if hand.number > 0]

    @property
    def followers(self) -> list[Hand]:
        """Those that follow the configuration: workers, and the control process."""
        return [hand for hand in self.everyone if hand.number != APPS]

    @property
    def control(self) -> Hand | None:
        return next((hand for hand in self.everyone if hand.number == CONTROL), None)

    @property
    def empty(self) -> bool:
        """Whether all workers are gone."""
        return not any(hand.number > 0 for hand in self._hands)

    @property
    def begun(self) -> bool:
        """Whether all that are wanted do their work; who crashed at its start is not waited for, but for workers."""
        started = {hand.number for hand in self._hands if hand.started and hand.state is State.SERVING}
        count, others = self._wanted
        gone = {number for number in others if number == APPS or self.backoff.crashes(number)}
        return sum(number > 0 for number in started) >= count and others <= started | gone

    # How many there are

    def want(self, workers: int, others: Collection[int]) -> None:
        """Start or retire processes until there are so many workers, and one in each place of ``others``."""
        self._wanted = workers, frozenset(others)
        self._fill()

    def hold(self) -> None:
        """Fork nobody: a reload is under way, of which who is forked now would know nothing."""
        self._held = True

    def go_on(self) -> None:
        """Fork who was due meanwhile."""
        self._held = False
        self._fill()
        for number in [number for number, call in self._waiting.items() if call is None]:
            self._start(number)

    def _fill(self) -> None:
        if self._stopping or self._held:
            return
        workers, others = self._wanted
        for number in [number for number in self._waiting if number <= 0 and number not in others]:
            self._cancel(number)
        present = {hand.number for hand in self._hands if hand.state is State.SERVING} | self._waiting.keys()
        missing = others - present
        if APPS in missing:
            self._fork(APPS)
        serving = sorted(number for number in present if number > 0)
        for number in serving[workers:]:
            self._retire(number)
        taken = present | {hand.number for hand in self._hands}
        free = (number for number in range(1, _MOST) if number not in taken)
        for _ in range(workers - len(serving)):
            self._fork(next(free))
        if CONTROL in missing:
            self._fork(CONTROL)

    def _retire(self, number: int) -> None:
        if number in self._waiting:
            self._cancel(number)
            return
        hand = next(hand for hand in self._hands if hand.number == number and hand.state is State.SERVING)
        hand.state = State.RETIRED
        hand.link.ask("retire").addErrback(lambda failure: None)
        _log.info("{name} takes nothing new, it ends with its last connection", name=hand.name)

    def _fork(self, number: int) -> None:
        try:
            hand = self._begin(number)
        except (OSError, WsgateError) as error:
            # The system, or the board, has no room for another process now.
            delay = max(AGAIN, self.backoff.ended(number, 0.0))
            text = "{name} cannot be started: {why}; tried again in {delay:.1f} s"
            _log.error(text, name=name_of(number), why=error, delay=delay)
            self._waiting[number] = self._reactor.callLater(delay, self._due, number)
            return
        self._hands.append(hand)
        hand.ended.addCallback(self._ended)

    def replace(self, hand: Hand) -> None:
        """Start another one in place of a process that is about to end, now: what it did is not missed."""
        hand.state = State.STOPPING
        self._fill()

    def _ended(self, hand: Hand) -> Hand:
        self._hands.remove(hand)
        if not self._stopping and hand.state is State.SERVING:
            delay = self.backoff.ended(hand.number, self._reactor.seconds() - hand.since)
            _log.warn(
                "{name} (process {pid}) {how}; another one starts{when}",
                name=hand.name,
                pid=hand.pid,
                how=hand.how,
                when=f" in {delay:.1f} s" if delay else "",
            )
            self._waiting[hand.number] = self._reactor.callLater(delay, self._due, hand.number)
        self._told(hand)
        return hand

    def _due(self, number: int) -> None:
        if self._held:
            self._waiting[number] = None
        else:
            self._start(number)

    def _start(self, number: int) -> None:
        del self._waiting[number]
        self._fork(number)

    def _cancel(self, number: int) -> None:
        call = self._waiting.pop(number)
        if call is not None:
            call.cancel()

    # Their end

    def stop(self) -> None:
        """Nobody is replaced any more."""
        self._stopping = True
        for number in list(self._waiting):
            self._cancel(number)
        for hand in self._hands:
            hand.state = State.STOPPING

    def tell(self, number: int, order: str) -> None:
        """Give an order to who is in a place, if anybody is."""
        for hand in self.everyone:
            if hand.number == number:
                hand.link.ask(order).addErrback(lambda failure: None)

    def kill(self, *places: int) -> None:
        """End who is in these places, or everybody, now."""
        for hand in self.everyone:
            if not places or hand.number in places:
                hand.state = State.STOPPING
                hand.kill()
