"""Moving WebSockets gently to a server that came back or was added: the oldest of all workers first, a few a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsgate.balance.rebalancing import Load, Rebalance
from wsgate.config.model import Config

_log = Logger("wsgate.control")

#: Seconds between two looks, and while connections are moved, so that not many go at a time.
LOOK = 0.5
CLOSE_LOOK = 0.1

Ask = Callable[[str, Mapping[str, Any]], Deferred[list[Any]]]


class Rebalancing:
    """Looks after the upstreams of ``config()`` with ``rebalance``, from ``start`` to ``stop``.

    ``ask`` puts an order to all processes that carry traffic, and gives their answers.
    """

    def __init__(self, reactor: Any, config: Callable[[], Config], ask: Ask) -> None:
        self._reactor = reactor
        self._config = config
        self._ask = ask
        self._known: dict[str, Rebalance] = {}
        self._call: Any = None
        self._stopped = False

    def start(self) -> None:
        self._look()

    def stop(self) -> None:
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _later(self) -> None:
        if not self._stopped:
            is_busy = any(one.is_busy for one in self._known.values())
            self._call = self._reactor.callLater(CLOSE_LOOK if is_busy else LOOK, self._look)

    def _look(self) -> None:
        rates = {name: one.rebalance for name, one in self._config().upstreams.items() if one.rebalance}
        self._known = {name: self._known.get(name) or Rebalance() for name in rates}
        if not rates:
            self._later()
            return
        done = self._ask("loads", {}).addCallback(self._choose, rates)
        done.addErrback(self._failed).addCallback(lambda _: self._later())

    def _failed(self, failure: Failure) -> None:
        _log.failure("rebalancing failed", failure)

    def _choose(self, answers: list[Any], rates: Mapping[str, float]) -> Deferred[Any]:
        moves = []
        for name, rate in rates.items():
            loads = merged([answer[name] for answer in answers if name in answer])
            wanted = Counter(self._known[name].look(loads, rate, self._reactor.seconds()))
            if wanted:
                asked = self._ask("oldest", {"upstream": name, "wanted": wanted})
                moves.append(asked.addCallback(self._move, wanted))
        return gatherResults(moves, consumeErrors=True)

    def _move(self, answers: list[Any], wanted: Mapping[str, int]) -> Deferred[Any]:
        names = [name for server, count in wanted.items() for name in first(answers, server, count)]
        return self._ask("move", {"names": names})


def merged(answers: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[Load]:
    """What all workers say of the servers of one upstream; those that one of them would not use are left out."""
    names = set.intersection(*(set(answer) for answer in answers)) if answers else set()
    return [
        Load(
            name,
            max(answer[name]["conns"] for answer in answers),
            min(answer[name]["weight"] for answer in answers),
            sum(answer[name]["leaving"] for answer in answers),
            any(answer[name]["is_full"] for answer in answers),
            max(answer[name]["since"] for answer in answers),
            all(answer[name]["unproven"] for answer in answers),
            answers[0][name]["whole"],
        )
        for name in sorted(names)
    ]


def first(answers: Iterable[Mapping[str, Sequence[Sequence[Any]]]], server: str, count: int) -> list[str]:
    """The names of the oldest that all workers together have at a server."""
    found = sorted((since, name) for answer in answers for since, name in answer[server])
    return [name for _, name in found[:count]]
