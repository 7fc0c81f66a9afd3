"""Finding a server that takes the connection: the balancer's order, one attempt at a time, by the rules of retries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wsgate.balance.group import Order
from wsgate.balance.keys import Facts, balance_key
from wsgate.balance.retry import Attempts, Trouble, trouble_of, trouble_of_status
from wsgate.balance.servers import ServerState
from wsgate.causes import Cause
from wsgate.config.model import Queue
from wsgate.transport.interfaces import Leg
from wsgate.upstream.attempt import Attempt, Dialer
from wsgate.upstream.members import UpstreamMembers
from wsgate.upstream.waiting import Waiting, WaitingRoom

#: How many may wait for the first answer of DNS.
AWAITING = 10_000


class Dialled(Protocol):
    """Who asked for a server."""

    def connected(self, leg: Leg, state: ServerState, reused: bool) -> None:
        """A server's connection stands; the leg is paused.  ``state`` is taken and must be released in the end."""

    def dial_failed(self, cause: Cause, detail: str) -> None:
        """No server is left to try."""


@dataclass(slots=True)
class Wanted:
    """For whom a server is wanted.

    ``method`` is that of the request, empty in Layer 4.  ``header`` makes the PROXY header for servers that get one.
    ``bound`` is the server that the client belongs to.
    """

    facts: Facts
    method: bytes = b""
    header: Callable[[], bytes] | None = None
    bound: ServerState | None = None


class Dialling:
    """One search for a server.  ``next`` starts it; ``go_on`` goes on when a server that was connected proved no good.

    With ``reuse`` an idle connection to the server whose turn it is will do.  ``tries`` counts the servers that were
    tried, ``state`` is the last of them.
    """

    __slots__ = (
        "_attempt",
        "_attempts",
        "_cause",
        "_detail",
        "_dialer",
        "_members",
        "_order",
        "_owner",
        "_reuse",
        "_waiting",
        "_wanted",
        "state",
        "tries",
    )

    def __init__(
        self, dialer: Dialer, members: UpstreamMembers, owner: Dialled, wanted: Wanted, *, reuse: bool = False
    ) -> None:
        self._dialer = dialer
        self._members = members
        self._owner: Dialled | None = owner
        self._wanted = wanted
        self._reuse = reuse and wanted.header is None
        self._order: Order | None = self._new_order()
        self._attempts: Attempts | None = None
        self._attempt: Attempt | None = None
        self._waiting: Waiting | None = None
        self._cause = Cause.NO_SERVER
        self._detail = "no server is eligible"
        self.tries = 0
        self.state: ServerState | None = None

    # Going through the order

    def next(self) -> None:
        """Try the next server of the order; its owner hears ``connected`` or ``dial_failed``, perhaps at once."""
        if self._attempts is None:
            self._attempts = self._members.attempts(self._dialer.wheel.seconds())
            if self._members.options.queue.most and self._others_wait():
                if not self._waits():
                    self._fail()
                return
        while (state := self._chosen()) is not None:
            self.tries += 1
            self.state = state
            if self._waiting is not None:
                self._stop_waiting()
            idle = self._members.idle.take(state.name) if self._reuse else None
            if idle is not None:
                self._tell_connected(idle, state, reused=True)
                return
            wrong = self._attempt_at(state)
            if wrong is None:
                return
            if not self._lacks(state, *wrong):
                self._note(state, *wrong)
                if not self._may_go_on(Trouble.ERROR, sent=False):
                    break
        else:
            if not self.tries and self._waits():
                return
        self._stop_waiting()
        self._fail()

    def _fail(self) -> None:
        if self._owner is not None:
            self._owner.dial_failed(self._cause, self._detail)

    def _new_order(self) -> Order:
        group, wanted = self._members.group, self._wanted
        return group.order(self._dialer.wheel.seconds(), balance_key(group.balance, wanted.facts), wanted.bound)

    def _chosen(self) -> ServerState | None:
        """The next server that takes one more connection; it is counted."""
        order = self._order
        if order is None:
            return None
        order.now = self._dialer.wheel.seconds()
        while (state := next(order, None)) is not None:
            if state.taken():
                return state
        return None

    def go_on(self, cause: Cause, detail: str) -> None:
        """The server that was sent the request has failed, and nothing of an answer went to the client.

        Another is tried where the rules let it; otherwise the owner hears ``dial_failed``.
        """
        self.remember(cause, detail)
        trouble = trouble_of(cause)
        if trouble is not None and self._may_go_on(trouble, sent=True):
            self.next()
        elif self._owner is not None:
            self._owner.dial_failed(cause, detail)

    def rather_another(self, status: int) -> bool:
        """Whether this answer should rather come from another server; the owner then drops it and calls ``next``."""
        trouble = trouble_of_status(status)
        if trouble is None or trouble not in self._members.rules.on or self._order is None:
            return False
        self._order.now = self._dialer.wheel.seconds()
        return self._order.has_next() and self._may_go_on(trouble, sent=True)

    def _may_go_on(self, trouble: Trouble, *, sent: bool) -> bool:
        attempts, now = self._attempts, self._dialer.wheel.seconds()
        return attempts is not None and attempts.goes_on(trouble, now, method=self._wanted.method, request_sent=sent)

    def again(self) -> None:
        """Dial the last server anew: an idle connection of it was no longer good, which is no fault of the server's."""
        state = self.state
        if state is None:
            raise AssertionError("no server has been tried")
        if not state.taken():
            self.next()
        elif wrong := self._attempt_at(state):
            self._failed_at(state, *wrong)

    def _lacks(self, state: ServerState, cause: Cause, detail: str) -> bool:
        """Whether it is the gateway that has no socket or port left: no server is to blame, nothing was tried."""
        if cause is Cause.EXHAUSTED:
            state.released()
            self.remember(cause, f"{state.server}: {detail}")
        return cause is Cause.EXHAUSTED

    def _attempt_at(self, state: ServerState) -> tuple[Cause, str] | None:
        header = self._wanted.header() if self._wanted.header is not None else b""
        self._attempt = Attempt(self, state, self._dialer, self._members, header)
        return self._attempt.start(self._members.options.connect_timeout)

    # Waiting for a place

    def _room(self) -> WaitingRoom:
        return self._members.room(self._dialer.hub, self._dialer.wheel)

    def _others_wait(self) -> bool:
        return len(self._room()) > 0

    def _waits(self) -> bool:
        """Wait where nothing but ``max_conns`` stands in the way, and the queue has room.

        Where the servers are still to be found, whoever comes may wait as long as connecting may take.
        """
        members = self._members
        queue = members.options.queue
        if members.awaited:
            queue = Queue(AWAITING, members.options.connect_timeout)
        if not queue.most:
            return False
        is_full = members.awaited or members.group.is_full(self._dialer.wheel.seconds())
        if self._waiting is not None:
            if is_full:
                self._waiting.again()
            return is_full
        if not is_full and not self._others_wait():
            return False
        self._waiting = self._room().enter(self, queue)
        if self._waiting is None:
            self._detail = f"every place is taken, and {queue.most} wait already"
        return self._waiting is not None

    def place_free(self) -> None:
        if self._order is not None:
            # A reload may have changed the servers since this began to wait.
            self._order = self._new_order()
            self.next()

    def waited_too_long(self, timeout: float) -> None:
        self._waiting = None
        if self._owner is not None:
            what = "no server was found" if self._members.awaited else "no place became free"
            self._owner.dial_failed(Cause.NO_SERVER, f"{what} within {timeout:g} s")

    def _stop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.stop()

    # The end

    def cancel(self) -> None:
        """The client has gone: drop what is under way."""
        self._stop_waiting()
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.drop()
            attempt.state.released()

    def close(self) -> None:
        """Nothing more will be asked of it: let go of its owner, and of the order that the balancer keeps open."""
        self._owner = None
        self._order = None

    def remember(self, cause: Cause, detail: str) -> None:
        """Why the server tried last was no good: the answer when no other is left."""
        self._cause = cause
        self._detail = detail

    # What an attempt tells

    def attempt_succeeded(self, leg: Leg, state: ServerState) -> None:
        self._attempt = None
        self._tell_connected(leg, state, reused=False)

    def attempt_failed(self, cause: Cause, detail: str) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._failed_at(attempt.state, cause, detail)

    def _failed_at(self, state: ServerState, cause: Cause, detail: str) -> None:
        self._attempt = None
        if not self._lacks(state, cause, detail):
            self._note(state, cause, detail)
        trouble = trouble_of(cause)
        if trouble is not None and self._may_go_on(trouble, sent=False):
            self.next()
        elif self._owner is not None:
            self._owner.dial_failed(self._cause, self._detail)

    def _tell_connected(self, leg: Leg, state: ServerState, *, reused: bool) -> None:
        if self._owner is None:
            raise AssertionError("a server was connected for nobody")
        self._owner.connected(leg, state, reused)

    def _note(self, state: ServerState, cause: Cause, detail: str) -> None:
        state.failed(self._dialer.wheel.seconds())
        state.released()
        self.remember(cause, f"{state.server}: {detail}")
