"""Parsers of what names a place on a network: addresses, servers, networks, host names, origins."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network
from typing import Any
from urllib.parse import urlsplit

from wsgate.config.model import Address, Network, Server
from wsgate.config.values import BadValue, count, duration, duration_or_off, positive, python_name
from wsgate.config.words import worded

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_LISTEN = "expected an address such as 127.0.0.1:8080, [::1]:8080, *:8080 or unix:run/web.sock"
_CONNECT = "expected an address such as 127.0.0.1:9000, app.example.org:9000, [::1]:9000 or unix:run/app.sock"
_ORIGIN = "expected any, same, null, or an origin such as https://example.org or https://example.org:8443"
_HOST = "expected a host name such as example.org or *.example.org"
_SERVER_OPTIONS: dict[str, Callable[[str], Any]] = {
    "weight": positive,
    "max_fails": count,
    "fail_timeout": duration,
    "max_conns": count,
    "slow_start": duration_or_off,
}
_SERVER_FLAGS = ("backup", "down", "drain")


def listen_address(text: str) -> Address:
    """Where to listen: an IP address and a port (0: any free one) or a unix socket; ``*`` is every IPv4 address, as
    nginx has it.  Host names are refused: what they stand for may change between two starts."""
    if path := _unix(text, _LISTEN):
        return Address(path=path)
    if re.fullmatch(r"[0-9]+", text):
        raise BadValue(f"a port needs an address before it: 127.0.0.1:{text} for this machine only, *:{text} for all")
    host, port = _host_port(text, _LISTEN, lowest=0)
    if host == "*":
        return Address("0.0.0.0", port)
    literal = _ip(host)
    if literal is None:
        raise BadValue(f"{host} is not an IP address: {_LISTEN}")
    return Address(literal, port)


def connect_address(text: str) -> Address:
    """Where to connect to: an IP address or a host name with a port, or a unix socket."""
    if path := _unix(text, _CONNECT):
        return Address(path=path)
    host, port = _host_port(text, _CONNECT, lowest=1)
    literal = _ip(host)
    if literal is None and not _is_name(host):
        raise BadValue(f"{host or 'nothing'} is neither an IP address nor a host name: {_CONNECT}")
    return Address(literal or host.lower(), port)


def server(text: str) -> Server:
    """``ADDRESS [weight=N] [max_fails=N] [fail_timeout=TIME] [max_conns=N] [slow_start=TIME] [backup] [down]
    [drain]``, the words of nginx; instead of an address ``python:package.module:factory`` names a Twisted factory in
    this process, ``srv:NAME`` SRV records and ``file:PATH`` a file with one server a line."""
    first, *words = text.split()
    kind, colon, place = first.partition(":")
    found: dict[str, Any] = {}
    if colon and kind in _SOURCES:
        found[_SOURCES[kind][0]] = _SOURCES[kind][1](place)
    address = Address() if found else connect_address(first)
    return Server(address, **found, **worded("server option", words, _SERVER_OPTIONS, _SERVER_FLAGS))


def _service(text: str) -> str:
    if not _is_name(text) or not text.startswith("_"):
        raise BadValue("expected the name of SRV records such as srv:_ws._tcp.example.org")
    return text.lower().rstrip(".")


def _server_file(text: str) -> str:
    if not text or text.endswith("/") or text.startswith("~"):
        raise BadValue("expected the path of a file such as file:run/servers.txt")
    return text


_SOURCES: dict[str, tuple[str, Callable[[str], str]]] = {
    "python": ("factory", python_name),
    "srv": ("srv", _service),
    "file": ("file", _server_file),
}


def resolver(text: str) -> Address:
    """A DNS server: an IP address with its port."""
    host, port = _host_port(text, "expected a DNS server such as 127.0.0.53:53", lowest=1)
    literal = _ip(host)
    if literal is None:
        raise BadValue("expected the IP address and port of a DNS server such as 127.0.0.53:53")
    return Address(literal, port)


def network(text: str) -> Network:
    """An IP address or a network: ``10.0.0.0/8``, ``fd00::/8``, ``127.0.0.1``."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        raise BadValue(f"bits are set behind the prefix: did you mean {ip_network(text, strict=False)}?")
    except ValueError:
        raise BadValue("expected an address or a network such as 10.0.0.0/8, 127.0.0.1 or fd00::/8") from None


def host(text: str) -> str:
    """A host of a route, in lower case: a name, ``*.`` and a name, or an IP address (IPv6 loses its brackets)."""
    if text.startswith("[") and text.endswith("]"):
        literal = _ip(text[1:-1])
        if literal is None or ":" not in literal:
            raise BadValue(f"expected an IPv6 address such as [::1], or {_HOST.removeprefix('expected ')}")
        return literal
    if not text.isascii():
        raise BadValue(f"{_HOST}; an international name is written in its xn-- form")
    if re.search(r":[0-9]+$", text):
        raise BadValue(f"{_HOST}, without a port: a route holds for every port of its listeners")
    name = text.lower().rstrip(".")
    if _ip(name) is None and not _is_name(name.removeprefix("*.")):
        raise BadValue(_HOST)
    return name


def certificate_name(text: str) -> str:
    """A name of a certificate, in lower case: a host name, ``*.`` and a name, or an IP address without brackets."""
    literal = _ip(text)
    if literal is None and not _is_name(text.removeprefix("*.")):
        expected = "expected a host name or an IP address such as localhost, *.example.org or ::1"
        raise BadValue(expected if text.isascii() else f"{expected}; an international name is written in its xn-- form")
    return literal or text.lower()


def sni_name(text: str) -> str:
    """A name in a TLS hello, in lower case: ``any``, ``none``, a host name, or ``*.`` and a name."""
    if text in ("any", "none"):
        return text
    name = text.lower().rstrip(".")
    if _ip(name) is not None:
        raise BadValue("clients send no name for an address: expected a host name, any or none")
    if not _is_name(name.removeprefix("*.")):
        raise BadValue(f"{_HOST}, or any or none; an international name is written in its xn-- form")
    return name


def origin(text: str) -> str:
    """A word, or an origin as browsers send it (RFC 6454 section 6.2): lower case, no default port, no path."""
    if text in ("any", "same", "null"):
        return text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadValue(_ORIGIN) from None
    if not re.fullmatch(r"[a-z][a-z0-9+.-]{0,31}", parts.scheme) or not parts.hostname or parts.username is not None:
        raise BadValue(_ORIGIN)
    if port == 0 or parts.netloc.endswith(":"):
        raise BadValue(f"{_ORIGIN}, with a port of 1 to 65535 or none")
    if parts.path or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise BadValue(f"{_ORIGIN}; browsers send no path, not even a /")
    literal = _ip(parts.hostname)
    if literal is None and not _is_name(parts.hostname):
        raise BadValue(_ORIGIN)
    shown = f"[{literal}]" if literal and ":" in literal else literal or parts.hostname
    default = {"http": 80, "https": 443, "ws": 80, "wss": 443}.get(parts.scheme)
    return f"{parts.scheme}://{shown}" if port in (None, default) else f"{parts.scheme}://{shown}:{port}"


def _unix(text: str, expected: str) -> str:
    """The path behind ``unix:``, or nothing where the text is no unix socket."""
    if not text.startswith("unix:"):
        return ""
    path = text.removeprefix("unix:")
    if not path or path.endswith("/") or path.startswith(("@", "~")):
        raise BadValue(f"unix: needs the path of a socket: {expected}")
    return path


def _host_port(text: str, expected: str, lowest: int) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([0-9]{1,5})", text)
    if match is None:
        raise BadValue(f"{expected} (IPv6 in brackets)" if text.count(":") > 1 else expected)
    host, port = match[1] or match[2] or "", int(match[3])
    if not lowest <= port <= 65535:
        raise BadValue(f"port {port} is not between {lowest} and 65535: {expected}")
    if match[1] is not None and ":" not in (_ip(match[1]) or ""):
        raise BadValue(f"[{match[1]}] is not an IPv6 address: {expected}")
    return host, port


def _ip(text: str) -> str | None:
    """An IP address in its canonical form, or None."""
    try:
        return str(IPv6Address(text)) if ":" in text else str(IPv4Address(text))
    except AddressValueError:
        return None


def is_literal(host: str) -> bool:
    """Whether ``host`` is an IP address and no name."""
    return _ip(host) is not None


def _is_name(text: str) -> bool:
    """Whether it is a host name (RFC 1123 section 2.1, and ``_`` as service discovery uses it); a last label of
    digits would be a mistyped IP address."""
    labels = text.removesuffix(".").split(".")
    return len(text) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
