"""What all workers say together, and the oldest of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from wsgate.balance.rebalancing import Load
from wsgate.config.load import parse_config
from wsgate.control.rebalancing import CLOSE_LOOK, LOOK, Rebalancing, first, merged

INI = """
[listener web]
bind = 127.0.0.1:0
[route all]
path = /
upstream = servers
[upstream servers]
servers = 127.0.0.1:1
balance = least_conn
rebalance = 10
"""


def said(conns: int, weight: float = 1.0, leaving: int = 0, is_full: bool = False) -> dict[str, Any]:
    facts = {"conns": conns, "weight": weight, "leaving": leaving, "is_full": is_full}
    return {**facts, "since": 0.0, "unproven": False, "whole": 1.0}


def test_a_server_counts_where_all_workers_would_use_it_and_those_that_leave_add_up() -> None:
    one = {"a": said(9, leaving=2), "b": said(3, weight=0.5)}
    two = {"a": said(9, leaving=1), "b": said(3), "c": said(0)}
    assert merged([one, two]) == [Load("a", 9, 1.0, 3, whole=1.0), Load("b", 3, 0.5, whole=1.0)]
    assert merged([]) == []


def test_a_server_that_one_worker_has_found_well_is_well() -> None:
    one, two = {"a": {**said(1), "unproven": True}}, {"a": said(1)}
    assert not merged([one, two])[0].unproven
    assert merged([one, one])[0].unproven


def test_the_oldest_of_all_workers_come_first() -> None:
    answers = [{"a": [[1.0, "1.1"], [4.0, "1.2"]]}, {"a": [[2.0, "2.1"], [3.0, "2.2"]]}]
    assert first(answers, "a", 3) == ["1.1", "2.1", "2.2"]


class Workers:
    """One worker, whose servers have so many connections."""

    def __init__(self) -> None:
        self.conns = {"a": 6}
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def ask(self, order: str, facts: Mapping[str, Any]) -> Deferred[list[Any]]:
        self.asked.append((order, dict(facts)))
        if order == "loads":
            return succeed([{"servers": {name: said(count) for name, count in self.conns.items()}}])
        if order == "oldest":
            return succeed([{"a": [[float(number), f"1.{number}"] for number in range(facts["wanted"]["a"])]}])
        return succeed([1])


def test_the_order_to_move_goes_out_when_a_server_is_added_and_not_before() -> None:
    clock, workers = Clock(), Workers()
    config = parse_config(INI, "test", Path("/"))
    rebalancing = Rebalancing(clock, lambda: config, workers.ask)
    rebalancing.start()
    clock.pump([LOOK] * 3)
    assert {order for order, _ in workers.asked} == {"loads"}
    workers.conns["b"] = 0
    clock.advance(LOOK)
    for move in range(1, 4):
        clock.advance(CLOSE_LOOK)
        assert [facts for order, facts in workers.asked if order == "move"] == [{"names": ["1.0"]}] * move
    del workers.conns["b"]
    clock.pump([LOOK] * 4)
    assert [order for order, _ in workers.asked].count("move") == 3
    rebalancing.stop()
    assert not clock.getDelayedCalls()


def test_workers_are_left_alone_where_nothing_is_rebalanced() -> None:
    clock, workers = Clock(), Workers()
    config = parse_config(INI.replace("rebalance = 10", ""), "test", Path("/"))
    Rebalancing(clock, lambda: config, workers.ask).start()
    clock.pump([LOOK] * 3)
    assert workers.asked == []
