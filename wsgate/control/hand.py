"""One child process as its parent sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Self

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsgate.control.forking import DUMP, Child, Main, fork
from wsgate.control.link import Link, LinkError, connect

_log = Logger("wsgate.control")

#: Seconds between two looks at a child whose link is gone, and those that a stuck one has for dumping its stacks.
REAP = 0.01
DUMP_TIME = 0.3

#: Bytes of a dump that are logged.
DUMP_SIZE = 64 * 1024


#: The numbers of those that are no workers.
CONTROL, APPS = 0, -1
_NAMES = {CONTROL: "the control process", APPS: "the process of the demo servers"}

#: What is done with what a child says; the answer is None, or JSON, or a Deferred of that.
Heard = Callable[[str, Any], Any]


class State(Enum):
    """What is expected of a worker."""

    SERVING = "serving"
    RETIRED = "retired"  # accepts nothing; ends with its last connection
    STOPPING = "stopping"


def name_of(number: int) -> str:
    """What the log calls the process in a place."""
    return _NAMES.get(number) or f"worker {number}"


def says_nothing(order: str, facts: Any) -> None:
    """What is heard of a child that has nothing to tell.  Raises LinkError."""
    raise LinkError(f"a worker does not say {order}")


class Hand:
    """A child.  ``ended`` fires with it when it has been reaped; ``how`` then tells how it ended."""

    def __init__(
        self, number: int, row: int, reactor: Any, child: Child, started: Callable[[], None], heard: Heard
    ) -> None:
        self.number = number
        self.row = row
        self.pid = child.pid
        self.since = reactor.seconds()
        self.state = State.SERVING
        self.started = False  # whether it has said that it does its work
        self.ended: Deferred[Hand] = Deferred()
        self.how = ""
        self._reactor = reactor
        self._told = started
        self._heard = heard
        self._stacks = child.stacks
        self._unanswered = 0
        self._killed = False
        self._gone = False
        self.link: Link = connect(reactor, child.link, self._obey, self._unlinked)

    @classmethod
    def fork(
        cls,
        number: int,
        row: int,
        reactor: Any,
        main: Main,
        keep: Iterable[socket.socket],
        started: Callable[[], None] = lambda: None,
        heard: Heard = says_nothing,
    ) -> Self:
        """Start a child that runs ``main(link, reactor)`` and has the sockets ``keep``.

        ``heard(order, facts)`` is called for what it says besides that it has ``started``; it may raise WsgateError or
        ValueError.
        """
        return cls(number, row, reactor, fork(main, keep), started, heard)

    @property
    def name(self) -> str:
        """What the log calls it."""
        return name_of(self.number)

    @property
    def linked(self) -> bool:
        """Whether it can be asked something."""
        return not self._gone

    def unless_gone(self, failure: Failure) -> None:
        """An error that is none if the child has died: another one takes its place."""
        if not self._gone:
            failure.raiseException()

    def _obey(self, order: str, payload: bytes, sockets: dict[str, socket.socket]) -> Any:
        for sock in sockets.values():
            sock.close()
        if order != "started":
            return self._heard(order, json.loads(payload))
        elif not self.started:
            self.started = True
            self._told()
        return True

    # Life

    def beat(self, limit: float) -> None:
        """Ask whether it turns; after ``limit`` questions without an answer it is replaced."""
        if self._unanswered > limit and not self._killed:
            self._killed = True
            _log.error("{name} (process {pid}) does not answer: it is replaced", name=self.name, pid=self.pid)
            self._signal(DUMP)
            self._reactor.callLater(DUMP_TIME, self._kill_stuck)
        elif not self._killed:
            self._unanswered += 1
            self.link.ask("beat").addCallbacks(self._answered, lambda failure: None)

    def _answered(self, answer: object) -> None:
        self._unanswered = 0

    def _kill_stuck(self) -> None:
        self._stacks.seek(0)
        dump = self._stacks.read(DUMP_SIZE).decode(errors="replace")
        _log.error("{name} was here:\n{dump}", name=self.name, dump=dump or "(it could not tell)")
        self.kill()

    def kill(self) -> None:
        """End it now."""
        self._killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if not self.ended.called:
            os.kill(self.pid, number)

    def _unlinked(self) -> None:
        self._gone = True
        self._reap()

    def _reap(self) -> None:
        """The link closes a moment before the process is there to be reaped."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, 0
        if not pid:
            self._reactor.callLater(REAP, self._reap)
            return
        code = os.waitstatus_to_exitcode(status)
        self.how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        self._stacks.close()
        self.ended.callback(self)
