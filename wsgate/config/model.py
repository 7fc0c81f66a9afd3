"""What a configuration says, as frozen values.

Durations are seconds, sizes are bytes, paths are absolute.  The classes hold no rule: ``wsgate.config.options`` names
each option with its parser and default, ``wsgate.config.check`` holds what must be true between sections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from re import Pattern

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or to connect: ``host`` and ``port``, or the ``path`` of a unix socket.

    ``host`` is an IP address or a name, without brackets; ``path`` is empty for TCP.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Mode(StrEnum):
    """What a listener reads: nothing (Layer 4) or HTTP requests (Layer 7)."""

    TCP = "tcp"
    HTTP = "http"


class RelayKind(StrEnum):
    """How a WebSocket is relayed after its handshake; ``off`` refuses upgrades on the route."""

    FRAMES = "frames"
    MESSAGES = "messages"
    TUNNEL = "tunnel"
    OFF = "off"


class PathKind(StrEnum):
    """nginx's kinds of location; the values are the modifiers of the INI."""

    EXACT = "="
    PREFIX = ""
    PREFIX_FIRST = "^~"
    REGEX = "~"
    REGEX_CASELESS = "~*"


@dataclass(frozen=True, slots=True)
class PathPattern:
    """``text`` is matched against the decoded, normalised path; ``regex`` is set for the two regular kinds."""

    kind: PathKind
    text: str
    regex: Pattern[str] | None = None

    def __str__(self) -> str:
        return f"{self.kind.value} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """The ``[gateway]`` section."""

    state_dir: Path
    access_log: str  # "-", "off" or an absolute path
    access_format: str  # "text" or "json"
    log_query: bool
    max_connections: int  # 0: from the descriptor limit
    drain_timeout: float
    server_header: str
    workers: int = 1  # 0: one for each processor
    max_connections_per_client: int = 0  # 0: no limit
    max_memory: int | None = 0  # bytes, 0: no limit, None: from the control group
    drain_delay: float = 0.0
    close_spread: float = 0.0
    drain_reason: str = ""  # empty: that of the table of causes
    removed: str = "drain"  # or "keep"
    worker_timeout: float = 10.0
    watch: float = 0.0  # 0: off
    resolver: tuple[Address, ...] = ()  # DNS servers; empty: those of the system


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """A ``[tls NAME]`` section."""

    name: str
    certificate: str  # "self-signed", "acme" or an absolute path
    key: Path | None
    names: tuple[str, ...]
    policy: str = "intermediate"  # or "modern"
    client_auth: str = "off"  # "off", "optional" or "require"
    client_ca: Path | None = None
    client_depth: int = 2
    client_crl: Path | None = None
    ocsp: Path | None = None  # a response in DER
    hsts: float = 0.0  # seconds, 0: off
    hsts_subdomains: bool = False
    acme_directory: str = ""
    acme_email: str = ""
    acme_ca: Path | None = None
    acme_challenge: str = "http-01"  # or "tls-alpn-01"


@dataclass(frozen=True, slots=True)
class Listener:
    """A ``[listener NAME]`` section."""

    name: str
    bind: tuple[Address, ...]
    mode: Mode
    tls: tuple[str, ...]
    upstream: str  # mode tcp only
    backlog: int
    half_close: bool
    idle_timeout: float  # mode tcp, 0: off
    tls_timeout: float
    head_timeout: float
    body_timeout: float
    keepalive_timeout: float
    keepalive_requests: int
    max_head: int
    max_fields: int
    max_connections: int  # 0: only the gateway's
    trusted_proxies: tuple[Network, ...]
    unix_mode: int
    unknown_names: str = "default"  # or "refuse"
    max_handshakes: int = 2000  # 0: no limit
    proxy_protocol: bool = False
    proxy_trusted: tuple[Network, ...] = ()
    proxy_timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class StaticTarget:
    """``static = DIR``: files below ``root``; ``index`` names are tried in order for a directory."""

    root: Path
    index: tuple[str, ...]
    max_age: float


@dataclass(frozen=True, slots=True)
class RedirectTarget:
    """``redirect = [STATUS] URL``; ``$host``, ``$path`` and ``$query`` are replaced."""

    status: int
    location: str


@dataclass(frozen=True, slots=True)
class RespondTarget:
    """``respond = STATUS [TEXT]``."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class ProxyTarget:
    """``upstream = NAME``."""

    upstream: str


Target = StaticTarget | RedirectTarget | RespondTarget | ProxyTarget


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What a route allows on a WebSocket; 0 is no limit, sizes are bytes, times seconds."""

    max_frame: int
    max_message: int
    max_fragments: int
    control_rate: float  # pings, pongs and empty fragments a second, beyond the messages
    control_burst: float
    messages_per_second: float
    messages_burst: float
    bytes_per_second: float
    bytes_burst: float
    limit_action: str  # "close" or "wait"
    validate_utf8: bool
    ping_interval: float
    ping_timeout: float
    idle_timeout: float
    max_age: float
    max_age_jitter: float  # a share, 0 to 1
    close_timeout: float
    slow_consumer_timeout: float
    buffer: int


@dataclass(frozen=True, slots=True)
class Route:
    """A ``[route NAME]`` section."""

    name: str
    listeners: tuple[str, ...]  # empty: every http listener
    hosts: tuple[str, ...]  # empty: any; "*.example.org" is a wildcard
    path: PathPattern
    target: Target
    websocket: RelayKind
    strip_prefix: bool
    rewrite: str  # empty: off; replaces the part that the path pattern matched
    methods: tuple[str, ...]  # empty: any
    origins: tuple[str, ...]  # "any", "same", "null" or scheme://host[:port]; empty: same where a Cookie is sent
    extensions: str  # "pass" or "strip"
    compression: str  # relay messages only: "off" or "client"
    on_message: str  # relay messages only: package.module:function, or empty
    encoded_slash: str  # "refuse" or "pass"
    max_body: int  # 0: no limit
    limits: RelayLimits
    on_server_loss: str = "close"  # or "hold": the client is kept for another server
    hold_buffer: int = 65_536
    hold_timeout: float = 30.0
    replay: int = 0  # the client's first messages, said again to another server
    client_certs: tuple[str, ...] = ()  # "any" or TYPE:VALUE of a verified client certificate; empty: none is asked for


@dataclass(frozen=True, slots=True)
class SniRoute:
    """A ``[route NAME]`` section with ``sni``: where a connection goes by its TLS hello, before decryption."""

    name: str
    listeners: tuple[str, ...]
    sni: tuple[str, ...]  # names, "*.example.org", "any" (every hello) and "none" (no TLS hello)
    alpn: tuple[str, ...]  # the client must offer one of them; empty: whatever it offers
    terminate: bool  # otherwise TLS passes through
    upstream: str


@dataclass(frozen=True, slots=True)
class Server:
    """One server of an upstream; its counters are keyed by ``address``."""

    address: Address
    weight: int = 1
    max_fails: int = 1
    fail_timeout: float = 10.0
    max_conns: int = 0
    backup: bool = False
    down: bool = False
    drain: bool = False  # no new clients, but those that are bound to it
    slow_start: float = 0.0  # seconds, 0: off
    name: str = ""  # the host name that ``address`` was resolved from, for TLS
    srv: str = ""  # a name of SRV records instead of an address; the options hold for all servers that are found
    file: str = ""  # an absolute path of a file with one server a line instead of an address
    factory: str = ""  # package.module:factory of an in-process Twisted factory, then ``address`` is empty

    def __str__(self) -> str:
        if self.srv or self.file:
            return f"srv:{self.srv}" if self.srv else f"file:{self.file}"
        return f"python:{self.factory}" if self.factory else str(self.address)


@dataclass(frozen=True, slots=True)
class Queue:
    """How many may wait for a place at the servers of an upstream (0: nobody), and how many seconds."""

    most: int = 0
    timeout: float = 10.0


class ProbeKind(StrEnum):
    """What a probe does: connect, ask by HTTP, or open a WebSocket and ping."""

    TCP = "tcp"
    HTTP = "http"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class Probe:
    """How the servers of an upstream are probed; times are seconds, ``jitter`` is a share of the interval.

    ``method``, ``statuses`` and ``body`` are for ``http``, what follows them for ``websocket``; empty is not asked for.
    """

    kind: ProbeKind
    path: str = "/"
    interval: float = 5.0
    jitter: float = 0.2
    timeout: float = 2.0
    rise: int = 2
    fall: int = 3
    host: str = ""  # empty: the server's own
    method: str = "GET"
    statuses: frozenset[int] = frozenset(range(200, 400))
    body: str = ""
    protocol: str = ""
    send: str = ""
    expect: str = ""
    within: float = 0.0


@dataclass(frozen=True, slots=True)
class Sticky:
    """A cookie that binds clients to servers; ``max_age`` is in seconds, 0 until the browser is closed."""

    name: str
    max_age: float = 0.0
    path: str = "/"
    samesite: str = "lax"  # "strict" or "none"


@dataclass(frozen=True, slots=True)
class EjectionRules:
    """When servers that drop WebSockets early are ejected; times are seconds, ``share`` is the part of a group that may
    be out at once."""

    strikes: int = 5
    early: float = 5.0
    base: float = 30.0
    longest: float = 300.0
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """TLS towards the servers of an upstream."""

    verify: bool
    ca: Path | None  # None: the system's
    server_name: str  # empty: the server's host
    certificate: Path | None = None  # shown to servers that ask for one
    key: Path | None = None  # None: in the certificate's file
    alpn: tuple[str, ...] = ()  # empty: http/1.1 where routes use it, otherwise none


@dataclass(frozen=True, slots=True)
class Upstream:
    """A ``[upstream NAME]`` section."""

    name: str
    servers: tuple[Server, ...]
    balance: str
    tls: UpstreamTls | None
    connect_timeout: float
    handshake_timeout: float
    response_timeout: float  # between two reads of an HTTP answer
    tries: int
    keepalive: int  # idle connections kept
    keepalive_timeout: float
    next_on: tuple[str, ...] = ("error", "timeout")
    try_timeout: float = 0.0  # from the first attempt on, 0: no limit
    retry_budget: float = 0.2  # retries as a share of first attempts
    eject: EjectionRules | None = None
    queue: Queue = Queue()
    proxy_protocol: str = "off"  # or "v1" or "v2"
    sticky: Sticky | None = None
    probe: Probe | None = None
    rebalance: float = 0.0  # WebSockets moved a second to a server that came back, 0: off
    resolve: float = 0.0  # ask for names again: seconds, -1 as the answers say, 0 never


@dataclass(frozen=True, slots=True)
class App:
    """A ``[app NAME]`` section: a bundled demo WebSocket server."""

    name: str
    kind: str
    bind: Address


@dataclass(frozen=True, slots=True)
class Config:
    """A whole, checked configuration; ``source`` is the INI's absolute path or a name for text given directly.

    ``warnings`` are sentences about what is allowed and probably not meant; they make no configuration different.
    """

    source: str
    gateway: GatewayOptions
    listeners: tuple[Listener, ...]
    tls: Mapping[str, TlsOptions] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    sni_routes: tuple[SniRoute, ...] = ()
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    apps: tuple[App, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)
