"""What a running gateway shares: the plan made from its configuration, and what connections act with.

A reload swaps ``plan``; an exchange takes the reference once, when it begins, and stays with it.  Listeners and
upstreams that go on keep their objects, which take the new options: a connection that was accepted before a reload
serves its next request by the new routes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wsgate.acme.places import AcmePlaces
from wsgate.admission.origins import OriginPolicy
from wsgate.admission.trusted import TrustedPeers
from wsgate.config.model import Config, Listener, UpstreamTls
from wsgate.observe.record import AccessRecord
from wsgate.open_connections import OpenConnections
from wsgate.registry import Registry
from wsgate.routing.sni import NO_SNI, SniTable
from wsgate.routing.table import RouteTable
from wsgate.targets.fixed import Redirect, Respond
from wsgate.targets.static import StaticSite
from wsgate.tls.material import UpstreamMaterial
from wsgate.tls.server_names import ServerNames
from wsgate.tls.towards_servers import UpstreamTlsContext
from wsgate.transport.hub import Hub
from wsgate.transport.interfaces import Reactor
from wsgate.transport.openssl import Buffers
from wsgate.transport.pipes import PipePool
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.attempt import Dialer
from wsgate.upstream.members import UpstreamMembers

Responder = StaticSite | Redirect | Respond


@dataclass(slots=True)
class ListenerPlan:
    """One listener, ready to serve; ``open`` counts its connections, ``handshakes`` those of TLS under way."""

    listener: Listener
    routes: RouteTable
    names: ServerNames | None
    trusted: TrustedPeers
    sni: SniTable = NO_SNI
    open: int = 0
    handshakes: int = 0


@dataclass(frozen=True, slots=True)
class Trust:
    """The TLS context of an upstream, with all that it was made of."""

    options: UpstreamTls
    material: UpstreamMaterial
    context: UpstreamTlsContext


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration made ready: everything that takes time or can fail has been done."""

    config: Config
    listeners: Mapping[str, ListenerPlan]
    upstreams: Mapping[str, UpstreamMembers]
    responders: Mapping[str, Responder]  # by route, for those that need no server
    origins: Mapping[str, OriginPolicy]  # by route
    acme: AcmePlaces | None = None  # where answers to an authority lie
    contexts: Mapping[str, Trust] = field(default_factory=dict)  # by upstream, for the plan after this one


@dataclass(slots=True)
class Runtime:
    """Everything a connection acts with.

    ``wall`` gives seconds since the epoch for the log, ``random`` unpredictable bytes.
    """

    reactor: Reactor
    hub: Hub
    wheel: TimerWheel
    pipes: PipePool
    buffers: Buffers
    dialer: Dialer
    plan: Plan
    log: Callable[[AccessRecord], None]
    wall: Callable[[], float]
    random: Callable[[int], bytes]
    max_connections: int  # that the descriptors of this process allow
    counts: OpenConnections = field(default_factory=OpenConnections)
    live: Registry = field(default_factory=Registry)
    drained_routes: frozenset[str] = frozenset()
    short_of_memory: bool = False  # no new request is served
