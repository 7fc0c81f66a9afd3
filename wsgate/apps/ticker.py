"""``ticker``: a live feed of five invented prices, each on a random walk.

A visitor gets all five from the start and can choose.  Messages in::

    {"type": "subscribe", "symbols": ["ALDER", "ROWAN"]}
    {"type": "unsubscribe", "symbols": ["ALDER"]}

and out: what there is, once, with the last 60 prices of each; the choice after each change; and every second the prices
of the chosen symbols.  ``tick`` counts the seconds of the feed, so a gap shows what was left out for a slow reader::

    {"type": "symbols", "interval": 1.0, "history": {"ALDER": [101.5, ...], ...}}
    {"type": "subscribed", "symbols": ["ALDER", ...]}
    {"type": "prices", "tick": 17, "prices": {"ALDER": 101.62, ...}}
"""

from __future__ import annotations

from collections import deque
from random import Random

from wsgate.apps.messages import JsonApplication, Message, choices, encode
from wsgate.apps.visitor import Clock, Timer, Visitor

SYMBOLS = ("ALDER", "BIRCH", "CEDAR", "HAZEL", "ROWAN")
HISTORY = 60
LOWEST, HIGHEST = 1.0, 9999.0
STEP = 0.006  # the standard deviation of one step, as a share of the price


class Ticker(JsonApplication):
    """Walks only while somebody watches; one timer for all visitors.  ``interval`` is in seconds."""

    def __init__(self, clock: Clock, rng: Random, interval: float = 1.0) -> None:
        super().__init__("ticker", {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe})
        self._clock = clock
        self._rng = rng
        self._interval = interval
        self._tick = 0
        self._prices = {symbol: deque([round(rng.uniform(40, 400), 2)], maxlen=HISTORY) for symbol in SYMBOLS}
        self._chosen: dict[Visitor, tuple[str, ...]] = {}
        self._timer: Timer | None = None
        for _ in range(HISTORY - 1):
            self._walk()

    def opened(self, visitor: Visitor) -> None:
        """Greet, show the past prices, and begin to walk with the first visitor."""
        super().opened(visitor)
        history = {symbol: list(prices) for symbol, prices in self._prices.items()}
        visitor.send(encode("symbols", interval=self._interval, history=history))
        self._choose(visitor, SYMBOLS)
        if self._timer is None:
            self._timer = self._clock.callLater(self._interval, self._step)

    def closed(self, visitor: Visitor) -> None:
        """Stand still after the last visitor."""
        del self._chosen[visitor]
        if not self._chosen and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _subscribe(self, visitor: Visitor, message: Message) -> None:
        wanted = choices(message, "symbols", SYMBOLS)
        self._choose(visitor, tuple(s for s in SYMBOLS if s in wanted or s in self._chosen[visitor]))

    def _unsubscribe(self, visitor: Visitor, message: Message) -> None:
        unwanted = choices(message, "symbols", SYMBOLS)
        self._choose(visitor, tuple(s for s in self._chosen[visitor] if s not in unwanted))

    def _choose(self, visitor: Visitor, symbols: tuple[str, ...]) -> None:
        self._chosen[visitor] = symbols
        visitor.send(encode("subscribed", symbols=symbols))

    def _step(self) -> None:
        self._timer = self._clock.callLater(self._interval, self._step)
        self._tick += 1
        self._walk()
        for visitor, symbols in list(self._chosen.items()):
            if symbols and not visitor.lagging:
                prices = {symbol: self._prices[symbol][-1] for symbol in symbols}
                visitor.send(encode("prices", tick=self._tick, prices=prices))

    def _walk(self) -> None:
        for prices in self._prices.values():
            price = prices[-1] * (1 + self._rng.gauss(0, STEP))
            prices.append(round(min(max(price, LOWEST), HIGHEST), 2))
