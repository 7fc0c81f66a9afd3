"""What a relay is to the rest of the gateway, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wsgate.causes import Cause, Side
from wsgate.config.model import RelayLimits
from wsgate.transport.interfaces import Leg, Reactor
from wsgate.transport.pipes import PipePool
from wsgate.transport.wheel import TimerWheel
from wsgate.wire.fields import Fields
from wsgate.wire.ws_handshake import Agreed, Upgrade


@dataclass(slots=True)
class Traffic:
    """What passed through a relay; ``in`` came from the client, ``out`` went to it.

    ``kept`` are the bytes that wait in it now, for either side.
    """

    bytes_in: int = 0
    bytes_out: int = 0
    kept: int = 0
    frames_in: int = 0
    frames_out: int = 0
    messages_in: int = 0
    messages_out: int = 0
    rtt_client: float | None = None
    rtt_server: float | None = None


@dataclass(slots=True)
class Ending:
    """How a relay ended; ``code`` and ``reason`` are of the first Close frame (RFC 6455 section 7.1.5)."""

    cause: Cause
    closed_by: Side
    code: int | None = None
    reason: str = ""
    detail: str = ""


class Relay(Protocol):
    """Two legs until both are closed.  Its owner is told of the end once, with an Ending."""

    def start(self, from_client: bytes = b"", from_server: bytes = b"") -> None:
        """Take the paused legs over; the bytes are what came behind the handshake on each."""

    def close(self, cause: Cause, reason: str = "") -> None:
        """End it for a reason of the gateway's: with a Close frame at the next frame boundary where frames are known.

        It ends within the relay's closing deadline, by force if need be; a tunnel of Layer 4 that only half-closes, to
        let the server finish, ends by itself.  ``reason`` goes into the Close in place of the text of the cause.
        """

    def abort(self, cause: Cause) -> None:
        """End it now."""

    def at_boundary(self) -> bool:
        """Whether both directions stand between two messages, so that a leg could be replaced."""

    def inject(self, side: Side, frame: bytes) -> bool:
        """Send a frame of the gateway's to one side at its next frame boundary; False where frames are not known."""

    def replace_leg(self, side: Side, leg: Leg, initial: bytes) -> bool:
        """Go on with another leg on one side; only ``at_boundary``.  False where the relay cannot."""

    def traffic(self) -> Traffic: ...


@dataclass(slots=True)
class Opening:
    """What a WebSocket is opened with: the client's wish, what the server agreed to, and facts for message hooks.

    ``fields`` are the end-to-end fields of the server's 101 (its Set-Cookie among them), ``answer`` the whole 101 for
    the client, for relays that leave the handshake as it is.
    """

    upgrade: Upgrade
    agreed: Agreed
    fields: Fields
    answer: bytes
    client: str
    host: str
    path: str
    route: str
    secure: bool


class Held(Protocol):
    """A relay that has lost its server and keeps its client."""

    def replace_leg(self, side: Side, leg: Leg, initial: bytes) -> bool: ...

    def give_up(self, cause: Cause, detail: str) -> None:
        """No server was found in time: close the client."""


class Redial(Protocol):
    """Finds another server for a WebSocket; ``buffer`` bytes are kept meanwhile, ``replay`` messages said again."""

    buffer: int
    replay: int

    def begin(self, relay: Held) -> None:
        """The server is lost: bring another one, or give up."""

    def stop(self) -> None:
        """The client has gone."""


@dataclass(slots=True)
class WebSocketLegs:
    """What every relay of a WebSocket is made of.  ``random`` gives unpredictable bytes, for masks and pings.

    ``over`` is called once, when both legs are gone.  With ``redial`` the client is kept when its server is lost.
    """

    client: Leg
    server: Leg
    opening: Opening
    limits: RelayLimits
    reactor: Reactor
    wheel: TimerWheel
    pipes: PipePool
    random: Callable[[int], bytes]
    over: Callable[[Ending], None]
    redial: Redial | None = None
