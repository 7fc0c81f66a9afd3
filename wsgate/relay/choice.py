"""Which relay a route's WebSockets get."""

from __future__ import annotations

from wsgate.config.model import RelayKind, Route
from wsgate.relay.frames import Frames
from wsgate.relay.interfaces import Relay, WebSocketLegs
from wsgate.relay.tunnel import Tunnel


def websocket_relay(route: Route, legs: WebSocketLegs) -> Relay:
    """The relay for a WebSocket of ``route``; start it to answer the client and let frames pass."""
    if route.websocket is RelayKind.MESSAGES and legs.redial is not None:
        from wsgate.relay.holding_messages import HoldingMessages

        return HoldingMessages(legs, route, legs.redial)
    if route.websocket is RelayKind.MESSAGES:
        from wsgate.relay.messages import Messages

        return Messages(legs, route)
    if route.websocket is RelayKind.FRAMES and legs.redial is not None:
        from wsgate.relay.holding import HoldingFrames

        return HoldingFrames(legs, legs.redial)
    if route.websocket is RelayKind.FRAMES:
        return Frames(legs)
    return Tunnel(
        legs.client,
        legs.server,
        wheel=legs.wheel,
        pipes=legs.pipes,
        half_close=False,
        idle_timeout=legs.limits.idle_timeout,
        over=legs.over,
        answer=legs.opening.answer,
    )
