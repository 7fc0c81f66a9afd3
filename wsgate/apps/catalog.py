"""The kinds of application that an ``[app NAME]`` section and ``wsgate app`` can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from wsgate.apps.board import Board
from wsgate.apps.chat import Chat
from wsgate.apps.echo import Echo
from wsgate.apps.progress import Progress
from wsgate.apps.ticker import Ticker
from wsgate.apps.visitor import Application, Clock

# From the name of a kind to what makes one of it, of the time and chance that are given to it.
KINDS: Mapping[str, Callable[[Clock, Random], Application]] = {
    "echo": lambda clock, rng: Echo(),
    "chat": lambda clock, rng: Chat(clock),
    "ticker": Ticker,
    "progress": Progress,
    "board": lambda clock, rng: Board(),
}
