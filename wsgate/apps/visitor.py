"""What an application and its surroundings promise each other.

An application holds no socket and imports no reactor: it is told of visitors and their messages, and answers through
them.  Time is a :class:`Clock`, chance a ``random.Random``, both given to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Drop the call; an error when it has been made."""
        ...


class Clock(Protocol):
    """The part of Twisted's ``IReactorTime`` that the applications use; all times are seconds."""

    def seconds(self) -> float:
        """The time now; only differences mean something."""
        ...

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object) -> Timer:
        """Call ``callable(*args)`` in ``delay`` seconds."""
        ...


class Visitor(Protocol):
    """One open WebSocket, as an application sees it."""

    @property
    def query(self) -> Mapping[str, str]:
        """The first value of each parameter in the query string of the handshake."""
        ...

    @property
    def path(self) -> str:
        """The path of the handshake as the client sent it, without the query string."""
        ...

    @property
    def lagging(self) -> bool:
        """Whether earlier messages still wait to be read; then what is soon stale should not be sent."""
        ...

    def send(self, payload: bytes, binary: bool = False) -> None:
        """Send one message of at most 64 KiB; without effect once the WebSocket is closing."""
        ...


class Application(Protocol):
    """A demo: told of every visitor's coming, messages and going, in that order."""

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The WebSocket subprotocols it speaks; ``*`` stands for whichever the client names first."""
        ...

    def opened(self, visitor: Visitor) -> None:
        """A WebSocket was opened."""
        ...

    def received(self, visitor: Visitor, payload: bytes, binary: bool) -> None:
        """A whole message arrived; text is valid UTF-8."""
        ...

    def closed(self, visitor: Visitor) -> None:
        """The WebSocket is gone; nothing can be sent any more."""
        ...
