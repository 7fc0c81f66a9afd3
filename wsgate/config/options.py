"""The one table of options: parsing, the commented sample and the reference page are all made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wsgate.config import kinds as k
from wsgate.config.relay_limits import LIMIT_ROWS


@dataclass(frozen=True, slots=True)
class Option:
    """One option of one kind of section.  ``default`` is written as in an INI, None where the option must be given,
    and empty where it may be left out; ``example`` is what the sample shows, if not the default."""

    section: str
    name: str
    kind: k.Kind
    default: str | None
    doc: str
    example: str = ""

    @property
    def shown(self) -> str:
        """A value to show: the example, or the default."""
        return self.example or self.default or ""

    def parse(self, text: str) -> Any:
        """The value of a text; raises ``BadValue``."""
        return self.kind.empty if not text and self.default == "" else self.kind.parse(text)

    def fallback(self) -> Any:
        """The default; for an option that must be given a value that only lets later checks go on."""
        return self.parse(self.example if self.default is None else self.default)


@dataclass(frozen=True, slots=True)
class SectionKind:
    """A kind of section; ``named`` ones may stand several times, each with a name."""

    kind: str
    named: bool
    doc: str

    @property
    def header(self) -> str:
        return f"[{self.kind} NAME]" if self.named else f"[{self.kind}]"


SECTIONS = {
    section.kind: section
    for section in (
        SectionKind("gateway", False, "What holds for the whole process."),
        SectionKind("listener", True, "Where clients connect, and whether what they say is read (Layer 7) or not."),
        SectionKind("tls", True, "A certificate. A listener that names it speaks TLS."),
        SectionKind("route", True, "What happens to a request of an http listener, by its host and path."),
        SectionKind("upstream", True, "A group of servers that do the same work."),
        SectionKind("app", True, "A bundled demo WebSocket server on a port of its own, run beside the gateway."),
    )
}

_GATEWAY = (
    ("workers", k.WORKERS, "1", "Processes that carry traffic; 1: all is done in one process, auto: one a processor."),
    ("state_dir", k.PATH, "state", "Where the gateway keeps what it makes, such as self-signed certificates."),
    ("access_log", k.ACCESS_LOG, "-", "Where access records go: standard output, nowhere, or a file."),
    ("access_format", k.LOG_FORMAT, "text", "The form of access records: one line of words, or one of JSON."),
    ("log_query", k.SWITCH, "off", "Whether records hold query strings; they often hold secrets."),
    ("max_connections", k.COUNT, "0", "Client connections of the whole gateway; 0: what the descriptor limit allows."),
    (
        "max_connections_per_client",
        k.COUNT,
        "0",
        "Connections of one client address, over all listeners and workers; 0: no limit.",
    ),
    (
        "max_memory",
        k.MEMORY,
        "auto",
        "Memory of all workers together, an equal part for each: from 95% on requests are refused, above it who keeps "
        "most is closed. auto: three quarters of what its control group (MemoryMax= of systemd) leaves it, if limited.",
        "512m",
    ),
    (
        "resolver",
        k.RESOLVERS,
        "",
        "DNS servers for SRV records and for names that are asked for again, the first time too; empty: the system's.",
        "127.0.0.53:53",
    ),
    ("drain_timeout", k.DURATION, "30s", "How long what is drained may take to end; then it is ended by force."),
    (
        "drain_delay",
        k.DURATION_OR_OFF,
        "off",
        "How long a stopping gateway, no longer ready, goes on accepting, so that load balancers can notice.",
    ),
    (
        "close_spread",
        k.DURATION_OR_OFF,
        "10s",
        "Time over which drained WebSockets get their Close; fewer than 100 a second are not spread further.",
    ),
    (
        "drain_reason",
        k.CLOSE_REASON,
        "",
        "The reason in the Close of drained WebSockets, such as a hint when to reconnect.",
        "reconnect in 5s",
    ),
    (
        "removed",
        k.REMOVED,
        "drain",
        "What a reload does with the open connections of listeners, routes and servers that it takes away.",
    ),
    ("worker_timeout", k.DURATION, "10s", "A worker that does not turn for so long tells where it is and is replaced."),
    ("watch", k.DURATION_OR_OFF, "off", "How often the INI and its certificates are looked at, to reload by itself."),
    ("server_header", k.TEXT, "", "The Server header of the gateway's own answers; none where empty.", "wsgate"),
)

_LISTENER = (
    ("bind", k.BINDS, None, "The addresses to listen on.", "127.0.0.1:8080"),
    ("mode", k.MODE, "http", "http reads requests and chooses a route for each; tcp tunnels whatever it is given."),
    ("tls", k.NAMES, "", "The tls sections to use: the first is the default, the others go by name.", "site"),
    ("upstream", k.NAME, "", "Mode tcp: the upstream that takes the connections.", "wsapp"),
    ("backlog", k.POSITIVE, "4096", "Connections that the kernel holds until they are accepted."),
    ("half_close", k.SWITCH, "on", "Mode tcp: carry the end of one direction over and let the other go on."),
    ("idle_timeout", k.DURATION_OR_OFF, "10m", "Mode tcp: close where neither direction has moved for so long."),
    ("tls_timeout", k.DURATION, "10s", "Time for the TLS handshake."),
    ("head_timeout", k.DURATION, "10s", "Mode http: time for the head of a request."),
    ("body_timeout", k.DURATION, "60s", "Mode http: time between two pieces of a request's body."),
    ("keepalive_timeout", k.DURATION, "75s", "Mode http: how long a connection may wait for its next request."),
    ("keepalive_requests", k.POSITIVE, "1000", "Mode http: requests on one connection before it is closed."),
    ("max_head", k.SIZE, "16k", "Mode http: size of a request's head; more is refused with 431."),
    ("max_fields", k.POSITIVE, "100", "Mode http: header fields of a request; more are refused with 431."),
    ("max_connections", k.COUNT, "0", "Client connections of this listener; 0: only the gateway's limit holds."),
    (
        "trusted_proxies",
        k.NETWORKS,
        "",
        "Mode http: clients whose X-Forwarded-* and Forwarded fields are believed.",
        "10.0.0.0/8, ::1",
    ),
    ("unix_mode", k.MODE_BITS, "0660", "Permissions of the unix sockets that are bound."),
    (
        "unknown_names",
        k.UNKNOWN_NAMES,
        "default",
        "Clients that ask by TLS for a name of no tls section: they get the first one, or an alert.",
    ),
    ("max_handshakes", k.COUNT, "2000", "TLS handshakes under way; further clients are turned away. 0: no limit."),
    (
        "proxy_protocol",
        k.SWITCH,
        "off",
        "Every connection begins with a PROXY header, v1 or v2, of a proxy in front that tells who the client is.",
    ),
    (
        "proxy_trusted",
        k.NETWORKS,
        "",
        "With proxy_protocol: the proxies; others are turned away. Whoever may open a unix socket is one of them.",
        "10.0.0.0/8",
    ),
    ("proxy_timeout", k.DURATION, "5s", "With proxy_protocol: time for the header."),
)

_TLS = (
    ("certificate", k.CERTIFICATE, None, "A PEM file; self-signed, made once; or acme, renewed.", "self-signed"),
    ("key", k.PATH, "", "The PEM file of the key; empty: it is in the certificate's file.", "/etc/wsgate/key.pem"),
    (
        "names",
        k.CERTIFICATE_NAMES,
        "",
        "The names it is for; empty: those in the file, and localhost where it is self-signed.",
        "localhost",
    ),
    (
        "policy",
        k.TLS_POLICY,
        "intermediate",
        "What is spoken, after Mozilla's presets: intermediate is TLS 1.2 and 1.3, modern is TLS 1.3 alone.",
    ),
    (
        "client_auth",
        k.CLIENT_AUTH,
        "off",
        "Client certificates: off asks for none; optional takes those that show a good one or none; require only the "
        "former. Their sessions are never resumed.",
    ),
    ("client_ca", k.PATH, "", "The PEM file of the authorities that sign client certificates.", "clients-ca.pem"),
    ("client_depth", k.COUNT, "2", "How many certificates may stand between a client's and the trusted one."),
    ("client_crl", k.PATH, "", "A PEM file of revocation lists: one for each authority.", "clients-crl.pem"),
    ("ocsp", k.PATH, "", "An OCSP response in DER to staple; it is read again when the file changes.", "site.ocsp"),
    ("hsts", k.DURATION_OR_OFF, "off", "Tell browsers to use https alone for so long (RFC 6797)."),
    ("hsts_subdomains", k.SWITCH, "off", "For all names below as well."),
    (
        "acme_directory",
        k.URL,
        "https://acme-v02.api.letsencrypt.org/directory",
        "The authority that signs. With acme its terms of service are agreed to.",
    ),
    ("acme_email", k.TEXT, "", "Where the authority writes to when something is wrong.", "webmaster@example.org"),
    ("acme_ca", k.PATH, "", "The PEM file of what the authority's own certificate is verified with.", "acme-ca.pem"),
    (
        "acme_challenge",
        k.ACME_CHALLENGE,
        "http-01",
        "How it is proven that the names are ours: it asks on port 80 of the names, or by TLS on port 443.",
    ),
)

_ROUTE = (
    ("listener", k.NAMES, "", "The http listeners it is for; empty: all of them.", "web, secure"),
    ("host", k.HOSTS, "", "The hosts it is for; empty: any.", "example.org, *.example.org"),
    (
        "sni",
        k.SNI,
        "",
        "Choose by the name in the TLS hello, before TLS: for listeners of mode tcp, and for TLS that passes through "
        "one of mode http.",
        "db.example.org, *.internal.example.org",
    ),
    ("alpn", k.ALPN, "", "With sni: protocols of which the client must offer one; empty: any.", "mqtt"),
    (
        "tls",
        k.PASS_OR_TERMINATE,
        "pass",
        "With sni: pass leaves TLS to the server; terminate ends it here with the listener's certificates.",
    ),
    ("path", k.PATTERN, "/", "The paths it is for; the most exact pattern of all routes wins, as in nginx."),
    ("upstream", k.NAME, "", "Target: the servers of an upstream, for HTTP and WebSocket.", "wsapp"),
    ("static", k.PATH, "", "Target: the files below a directory.", "../www"),
    ("redirect", k.REDIRECT, "", "Target: another URL.", "301 https://$host$path$query"),
    ("respond", k.RESPOND, "", "Target: a fixed answer.", "404 Nothing here"),
    ("static_index", k.FILE_NAMES, "index.html", "Files that answer for a directory; the first that is there."),
    ("static_max_age", k.DURATION_OR_OFF, "off", "How long clients may keep files without asking again."),
    (
        "websocket",
        k.RELAY,
        "frames",
        "How WebSockets are relayed: frames passes them on and checks each; messages ends WebSocket here and starts it "
        "anew; tunnel passes bytes; off refuses them.",
    ),
    ("strip_prefix", k.SWITCH, "off", "Take the matched prefix away from the path before it goes to the target."),
    ("rewrite", k.REWRITE, "", "Put this in place of the matched part of the path, as nginx's proxy_pass.", "/api/"),
    ("methods", k.METHODS, "", "The methods that are let through; empty: any.", "GET, HEAD"),
    (
        "origins",
        k.ORIGINS,
        "",
        "The origins whose pages may open WebSockets; empty: same where the request carries a cookie, otherwise any.",
        "same, https://example.org",
    ),
    (
        "client_certs",
        k.CLIENT_CERTS,
        "",
        "Client certificates that are let through, others get 403; empty: no certificate is needed.",
        "dns:alice.example.org, email:bob@example.org",
    ),
    ("extensions", k.EXTENSIONS, "pass", "Whether client and server may agree on extensions such as compression."),
    ("compression", k.COMPRESSION, "off", "Relay messages: compress towards clients."),
    ("on_message", k.PYTHON_NAME, "", "Relay messages: a function that sees each message.", "hooks.chat:on_message"),
    (
        "on_server_loss",
        k.SERVER_LOSS,
        "close",
        "Not with tunnel: close the client's WebSocket when its server is lost, or hold it until another one answers.",
    ),
    ("hold_buffer", k.SIZE, "64k", "With hold: bytes of the client that are kept; then it is no longer read."),
    ("hold_timeout", k.DURATION, "30s", "With hold: how long; then the client is closed with 1012."),
    ("replay", k.COUNT, "0", "With hold: how many of the client's first messages the new server hears again."),
    ("encoded_slash", k.ENCODED_SLASH, "refuse", "What happens to paths with %2f: 400, or they go on unread."),
    ("max_body", k.SIZE_OR_OFF, "10m", "Size of a request's body; more is refused with 413."),
    *LIMIT_ROWS,
)

_UPSTREAM = (
    ("servers", k.SERVERS, None, "The servers, one a line.", "127.0.0.1:9000 weight=2"),
    (
        "rebalance",
        k.RATE,
        "off",
        "How many WebSockets a second are closed with 1012, so that they come back, until a server that was added or "
        "came back has its share; the oldest first.",
        "5",
    ),
    (
        "resolve",
        k.RESOLVE,
        "off",
        "Ask for the names of servers again: DNS by the TTL of its answers, or the system every so often; off: at the "
        "start only. SRV records are asked for by their TTL at least.",
        "ttl",
    ),
    ("balance", k.BALANCE, "round_robin", "How the servers take turns.", "least_conn"),
    ("tls", k.SWITCH, "off", "Speak TLS to the servers."),
    ("tls_verify", k.SWITCH, "on", "Check their certificates."),
    ("tls_ca", k.PATH, "", "The PEM file of the authorities to believe; empty: the system's.", "ca.pem"),
    ("tls_server_name", k.SERVER_NAME, "", "The name to ask for and to check; empty: the server's.", "app.internal"),
    ("tls_certificate", k.PATH, "", "The PEM file of a certificate to show to them.", "gateway.pem"),
    ("tls_key", k.PATH, "", "The PEM file of its key; empty: it is in the certificate's file.", "gateway.key"),
    (
        "tls_alpn",
        k.ALPN,
        "",
        "Protocols to offer them; empty: http/1.1 where a route with paths uses the upstream, otherwise none.",
        "mqtt",
    ),
    ("connect_timeout", k.DURATION, "5s", "Time to connect to one server."),
    ("handshake_timeout", k.DURATION, "10s", "Time for a server's answer to a WebSocket handshake."),
    ("response_timeout", k.DURATION, "60s", "Time between two pieces of a server's HTTP answer."),
    ("tries", k.COUNT, "0", "Servers to try for one request; 0: all."),
    (
        "next_on",
        k.NEXT_ON,
        "error timeout",
        "After what the next server is tried, while nothing was sent to the client: nginx's proxy_next_upstream.",
        "error timeout http_503",
    ),
    ("try_timeout", k.DURATION_OR_OFF, "off", "How long after the first attempt another may begin.", "10s"),
    (
        "retry_budget",
        k.PERCENTAGE,
        "20%",
        "How many more attempts than requests there may be, beside 10 a second, when the servers fail.",
    ),
    (
        "eject",
        k.EJECT,
        "off",
        "Leave a server out for a while whose WebSockets end badly within seconds.",
        "5 early=5s base=30s longest=5m share=50%",
    ),
    (
        "proxy_protocol",
        k.PROXY_VERSION,
        "off",
        "Tell the servers who the client is by a PROXY header; each connection then belongs to one request.",
    ),
    (
        "sticky",
        k.STICKY,
        "off",
        "Bind each client to its server by a signed cookie; clients of one that cannot serve get another.",
        "cookie wsgate max_age=1d",
    ),
    (
        "probe",
        k.PROBE,
        "off",
        "Ask each server again and again whether it is well; one that is not gets nothing.",
        "websocket /wsapp interval=5s",
    ),
    (
        "queue",
        k.QUEUE,
        "off",
        "How many may wait, in all workers, when every server has its max_conns; more get 503.",
        "100 timeout=5s",
    ),
    ("keepalive", k.COUNT, "32", "Idle HTTP connections that are kept for the next request."),
    ("keepalive_timeout", k.DURATION, "60s", "How long they are kept."),
)

_APP = (
    ("kind", k.APP, None, "Which of the demo servers.", "echo"),
    ("bind", k.LISTEN, None, "Where it listens.", "127.0.0.1:9101"),
)

OPTIONS: tuple[Option, ...] = tuple(
    Option(section, *row)
    for section, rows in (
        ("gateway", _GATEWAY),
        ("listener", _LISTENER),
        ("tls", _TLS),
        ("route", _ROUTE),
        ("upstream", _UPSTREAM),
        ("app", _APP),
    )
    for row in rows
)
# The options of a route that limit a WebSocket; the model holds them together.
LIMITS = tuple(row[0] for row in LIMIT_ROWS)


def of_section(kind: str, options: Iterable[Option] = OPTIONS) -> dict[str, Option]:
    """The options of a kind of section by name, in the order of the table."""
    return {option.name: option for option in options if option.section == kind}
