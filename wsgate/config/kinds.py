"""The kinds of values that options have: what the reference page says of each, and its parser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wsgate.config import addresses, balancing, locations, probes, values


@dataclass(frozen=True, slots=True)
class Kind:
    """``parse`` takes the text of a value; ``empty`` is what an option without a value has, where that is its
    default; with ``lines`` a value may have several lines."""

    name: str
    parse: Callable[[str], Any]
    doc: str
    empty: Any = None
    lines: bool = False


def _choice(*words: str) -> Kind:
    return Kind(" | ".join(words), values.choice(*words), "", empty="")


def _list(name: str, parse: Callable[[str], Any], doc: str, empty: str = "") -> Kind:
    return Kind(name, values.listed(parse, empty=empty), doc, empty=(), lines=True)


_PATH = "A relative path is relative to the INI's directory."

SWITCH = Kind("switch", values.switch, "``on`` or ``off``.")
DURATION = Kind("duration", values.duration, "A number and a unit: ``500ms``, ``10s``, ``5m``, ``1h``, ``1d``.")
DURATION_OR_OFF = Kind("duration or off", values.duration_or_off, "A duration; ``off`` or ``0`` is never.")
SIZE = Kind("size", values.size, "Bytes, or with a unit of 1024: ``4096``, ``64k``, ``1m``, ``2g``.")
SIZE_OR_OFF = Kind("size or off", values.size_or_off, "A size; ``off`` or ``0`` is no limit.")
MEMORY = Kind("size, auto or off", values.size_or_auto, "A size such as ``512m``; ``off`` or ``0`` is no limit.")
COUNT = Kind("count", values.count, "A whole number from 0.")
POSITIVE = Kind("positive count", values.positive, "A whole number from 1.")
RATE = Kind("rate", values.rate, "How many a second: ``100``, ``0.5``; ``off`` or ``0`` is no limit.")
PERCENTAGE = Kind("percentage", values.share, "``0%`` to ``100%``.")
WORKERS = Kind("positive count or auto", values.workers, "A whole number from 1 to 64, or ``auto``.")
CLOSE_REASON = Kind("close reason", values.close_reason, "Up to 123 bytes of text.", empty="")
MODE_BITS = Kind("permissions", values.file_mode, "Octal permission bits such as ``0660``.")
TEXT = Kind("text", values.line, "Any text on one line.", empty="")
PATH = Kind("path", values.file_path, f"A file or directory. {_PATH}")
ACCESS_LOG = Kind("- | off | file", values.path_or("-", "off", example="logs/access.log"), "")
CERTIFICATE = Kind(
    "self-signed | acme | file", values.path_or("self-signed", "acme", example="/etc/wsgate/site.pem"), ""
)
URL = Kind("https URL", values.https_url, "A URL such as ``https://acme.example.org/directory``.")
ACME_CHALLENGE = _choice("http-01", "tls-alpn-01")
PYTHON_NAME = Kind("Python name", values.python_name, "An object in Python: ``package.module:name``.", empty="")
NAME = Kind("name", values.section_name, "The name of another section.", empty="")
NAMES = _list("names", values.section_name, "Names of other sections.")
METHODS = _list("methods", values.method, "HTTP methods in capitals.")
FILE_NAMES = _list("file names", values.file_name, "Names of files, without directories.")
NETWORKS = _list("networks", addresses.network, "Addresses and networks: ``127.0.0.1``, ``10.0.0.0/8``, ``fd00::/8``.")
HOSTS = _list("hosts", addresses.host, "Host names, ``*.example.org`` for all below one, or IP addresses; no ports.")
SNI = _list(
    "names of TLS hellos",
    addresses.sni_name,
    "Host names, ``*.example.org`` for all below one, ``any`` for every hello, ``none`` for clients that speak no TLS "
    "or say nothing within ``tls_timeout``.",
)
ALPN = _list("protocols", values.protocol, "Names of protocols as TLS has them: ``http/1.1``, ``mqtt``.")
CLIENT_CERTS = _list(
    "client certificates",
    values.client_certificate,
    "``any`` verified one, or those of which one fact is exactly this: ``subject:CN=alice``, "
    "``dns:alice.example.org``, ``email:alice@example.org``, ``uri:urn:x:alice``, ``ip:10.0.0.1``, or sha256: and "
    "the fingerprint.",
)
CERTIFICATE_NAMES = _list("certificate names", addresses.certificate_name, "Host names and IP addresses.")
SERVER_NAME = Kind("host name", addresses.certificate_name, "A host name or an IP address.", empty="")
ORIGINS = _list("origins", addresses.origin, "``same``, ``any``, ``null``, or origins such as ``https://example.org``.")
LISTEN = Kind(
    "listen address",
    addresses.listen_address,
    "``127.0.0.1:8080``, ``[::1]:8080``, ``*:8080`` (every IPv4 address; ``[::]:8080`` is every IPv6 address), or a "
    f"unix socket ``unix:run/web.sock``. Port 0 is any free one. {_PATH}",
)
BINDS = _list(
    "listen addresses",
    addresses.listen_address,
    "One or more listen addresses.",
    empty="expected at least one address such as 127.0.0.1:8080",
)
SERVERS = _list(
    "servers",
    addresses.server,
    "Each an address to connect to (``127.0.0.1:9000``, ``app.example.org:9000``, ``[::1]:9000``, "
    "``unix:run/app.sock``) or ``python:package.module:factory``, a Twisted factory in the gateway's own process; "
    "or, for those that come and go, ``srv:_ws._tcp.example.org`` (SRV records) or ``file:run/servers.txt`` (one "
    "server a line, watched for changes); behind it, with nginx's meaning, ``weight=1``, ``max_fails=1``, "
    "``fail_timeout=10s``, ``max_conns=0``, ``slow_start=0``, ``backup``, ``down``, ``drain``.",
    empty="expected at least one server such as 127.0.0.1:9000",
)
PATTERN = Kind(
    "path pattern",
    locations.path_pattern,
    "nginx's kinds of location: ``/prefix``, ``= /exact``, ``^~ /prefix`` (before regular expressions), ``~ regex``, "
    "``~* regex`` (any case). The request's path is compared decoded and normalised.",
)
REWRITE = Kind("path of a URL", locations.rewrite, "A path such as ``/api/``, written decoded.", empty="")
REDIRECT = Kind(
    "redirect",
    locations.redirect,
    "``[STATUS] URL`` with 301, 302 (the default), 303, 307 or 308; ``$host``, ``$path`` and ``$query`` (with its "
    "``?``, or nothing) are those of the request.",
)
RESPOND = Kind("response", locations.respond, "``STATUS [TEXT]``.")

REMOVED = _choice("drain", "keep")
MODE = _choice("http", "tcp")
LOG_FORMAT = _choice("text", "json")
TLS_POLICY = _choice("intermediate", "modern")
CLIENT_AUTH = _choice("off", "optional", "require")
UNKNOWN_NAMES = _choice("default", "refuse")
PASS_OR_TERMINATE = _choice("pass", "terminate")
RELAY = _choice("frames", "messages", "tunnel", "off")
EXTENSIONS = _choice("pass", "strip")
COMPRESSION = _choice("off", "client")
ENCODED_SLASH = _choice("refuse", "pass")
LIMIT_ACTION = _choice("close", "wait")
SERVER_LOSS = _choice("close", "hold")
PROXY_VERSION = _choice("off", "v1", "v2")
RESOLVE = Kind("off, ttl or duration", balancing.resolve, "``off``, ``ttl``, or a duration such as ``30s``.")
RESOLVERS = _list("DNS servers", addresses.resolver, "IP addresses with their ports: ``127.0.0.53:53``, ``[::1]:53``.")
BALANCE = Kind(
    "order of servers",
    balancing.balance,
    "``round_robin`` and ``least_conn`` by weight, as nginx has them; ``random_two``, the less loaded of two drawn by "
    "weight; ``first``, which fills one server after the other up to its limit; or the same server for the same key: "
    "``hash client``, ``hash host``, ``hash path``, ``hash header X-User``, ``hash cookie session``, "
    "``hash argument room``.",
)
NEXT_ON = Kind(
    "troubles or off",
    balancing.next_on,
    "``off``, or some of ``error``, ``timeout``, ``invalid_header``, ``http_403``, ``http_404``, ``http_429``, "
    "``http_500``, ``http_502``, ``http_503``, ``http_504`` and ``non_idempotent``.",
)
PROBE = Kind(
    "probe or off",
    probes.probe,
    "``off``, ``tcp``, ``http /health`` or ``websocket /chat``, and what differs from "
    "``tcp interval=5s jitter=20% timeout=2s rise=2 fall=3``. For both others the host to ask for: "
    "``http /health host=app.example.org``. For HTTP the method, the statuses that are well and a text in the body: "
    "``http /health method=HEAD status=200-299,401 body=ok``. For WebSocket the subprotocol, a message, a text in its "
    "answer and how soon a ping is answered: ``websocket /chat protocol=chat.v2 send=hello expect=welcome "
    "within=500ms``.",
)
STICKY = Kind(
    "cookie or off",
    balancing.sticky,
    "``off``, or the name of a cookie: ``cookie wsgate``, ``cookie wsgate max_age=1d path=/chat samesite=lax``. Its "
    "SameSite is lax, strict or none; it is HttpOnly, and Secure where the client came over TLS.",
)
QUEUE = Kind("waiting", balancing.queue, "``off``, or how many may wait, and how long: ``100 timeout=5s``.")
EJECT = Kind(
    "early ends or off",
    balancing.ejection,
    "``off``, or how many early ends in a row are too many: ``5 early=5s base=30s longest=5m share=50%``. An end is "
    "early within the first of the times; the server is out for the second, longer each time, up to the third; no more "
    "than the share of the servers is out at once.",
)
APP = _choice("echo", "chat", "ticker", "progress", "board")
