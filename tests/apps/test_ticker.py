from __future__ import annotations

from random import Random

import pytest
from twisted.internet.task import Clock

from tests.apps.visitors import say, visit
from wsgate.apps.ticker import HIGHEST, HISTORY, LOWEST, SYMBOLS, Ticker


def feed(seed: int = 1) -> tuple[Ticker, Clock]:
    clock = Clock()
    return Ticker(clock, Random(seed), 0.5), clock


def test_a_visitor_sees_the_past_first_and_then_all_five_every_interval() -> None:
    app, clock = feed()
    visitor = visit(app)
    hello, symbols, subscribed = visitor.told()
    assert hello["commands"] == ["subscribe", "unsubscribe"]
    assert symbols["interval"] == 0.5
    assert {symbol: len(prices) for symbol, prices in symbols["history"].items()} == dict.fromkeys(SYMBOLS, HISTORY)
    assert subscribed["symbols"] == list(SYMBOLS)
    clock.advance(0.4)
    assert visitor.told() == []
    clock.advance(0.1)
    (prices,) = visitor.told()
    assert (prices["type"], prices["tick"], tuple(prices["prices"])) == ("prices", 1, SYMBOLS)
    for symbol, price in prices["prices"].items():
        assert price == pytest.approx(symbols["history"][symbol][-1], rel=0.1)


def test_the_walk_is_the_random_generators_alone() -> None:
    told = []
    for _ in range(2):
        app, clock = feed(seed=7)
        visitor = visit(app)
        clock.pump([0.5] * 5)
        told.append(visitor.told())
    assert told[0] == told[1]


def test_prices_stay_in_their_bounds_on_the_wildest_walk() -> None:
    class Wild(Random):
        def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
            return self.choice([-3.0, 50.0])

    clock = Clock()
    app = Ticker(clock, Wild(3), 1.0)
    visitor = visit(app)
    clock.pump([1.0] * 50)
    seen = [price for told in visitor.told()[3:] for price in told["prices"].values()]
    assert min(seen) >= LOWEST
    assert max(seen) <= HIGHEST


def test_a_visitor_chooses() -> None:
    app, clock = feed()
    visitor, other = visit(app), visit(app)
    assert say(app, visitor, type="unsubscribe", symbols=["BIRCH", "CEDAR", "HAZEL"]) == [
        {"type": "subscribed", "symbols": ["ALDER", "ROWAN"]}
    ]
    assert say(app, visitor, type="subscribe", symbols=["CEDAR", "CEDAR"]) == [
        {"type": "subscribed", "symbols": ["ALDER", "CEDAR", "ROWAN"]}
    ]
    other.told()
    clock.advance(0.5)
    assert list(visitor.told()[0]["prices"]) == ["ALDER", "CEDAR", "ROWAN"]
    assert list(other.told()[0]["prices"]) == list(SYMBOLS)


def test_who_chose_nothing_gets_no_prices() -> None:
    app, clock = feed()
    visitor = visit(app)
    say(app, visitor, type="unsubscribe", symbols=list(SYMBOLS))
    clock.advance(0.5)
    assert visitor.told() == []


@pytest.mark.parametrize("symbols", [None, "ALDER", ["alder"], [1], {}])
def test_an_unknown_symbol_is_an_error(symbols: object) -> None:
    app, _ = feed()
    visitor = visit(app)
    (answer,) = say(app, visitor, type="subscribe", symbols=symbols)
    assert answer == {"type": "error", "text": "symbols must be a list of: ALDER, BIRCH, CEDAR, HAZEL, ROWAN"}


def test_a_slow_reader_gets_the_newest_price_later_and_no_heap_of_old_ones() -> None:
    app, clock = feed()
    visitor = visit(app)
    visitor.told()
    visitor.lagging = True
    clock.pump([0.5] * 4)
    assert visitor.told() == []
    visitor.lagging = False
    clock.advance(0.5)
    assert [message["tick"] for message in visitor.told()] == [5]


def test_it_walks_only_while_somebody_watches() -> None:
    app, clock = feed()
    assert clock.getDelayedCalls() == []
    first, second = visit(app), visit(app)
    assert len(clock.getDelayedCalls()) == 1
    app.closed(first)
    assert len(clock.getDelayedCalls()) == 1
    app.closed(second)
    assert clock.getDelayedCalls() == []
    visit(app)
    assert len(clock.getDelayedCalls()) == 1
