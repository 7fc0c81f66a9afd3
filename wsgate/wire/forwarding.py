"""Telling a server who asked: X-Forwarded-* and Forwarded (RFC 7239), and reading them from proxies in front.

Anybody can send these fields, so they count only from a peer that is a trusted proxy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import quote

from wsgate.wire.fields import TOKEN, Fields

# With the spellings that servers behind CGI-like interfaces take for the same names.
_CLIENT_CERT = re.compile(rb"x[-_]client[-_]cert(?:[-_].*)?", re.IGNORECASE)
_FORWARDING = re.compile(
    rb"forwarded|x[-_]real[-_]ip|x[-_]forwarded(?:[-_].*)?|x[-_]client[-_]cert(?:[-_].*)?", re.IGNORECASE
)
_INITIALS = b"FfXx"
_TOKEN = re.compile(TOKEN)
# An address as proxies write it: some add the port, and then IPv6 stands in brackets.
_HOP = re.compile(r"([0-9.]+)(?::[0-9]{1,5})?|\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")
_PRINTABLE = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}"
_MAX_CERT_FIELD = 4096
_MAX_HOPS = 32
"""How many proxies in front are followed; each costs the parsing of an address."""


def forwarded_fields(peer: str, secure: bool, authority: bytes, port: int, incoming: Fields, trusted: bool) -> Fields:
    """``incoming`` with our X-Forwarded-For, -Proto, -Host, -Port and Forwarded at its end.

    ``peer`` is the client's address as text, empty where it has none (a unix socket); ``secure`` whether it came over
    TLS (the scheme is http or https for WebSockets too: servers know no others); ``authority`` what it asked for;
    ``port`` the listener's, 0 where it has none.  What is empty or 0 is left out.  What came in under these names is
    dropped, with X-Real-IP and spellings with "_"; from a ``trusted`` peer the addresses are appended to, and scheme,
    host, port and X-Real-IP are kept.  X-Client-Cert-* is dropped whoever sent it: what is said there was seen in a
    handshake of this gateway's (``certificate_fields``).
    """
    ours = _own_fields(peer, secure, authority, port)
    if trusted:
        return _appended(incoming, ours)
    kept = [field for field in incoming if not (field[0][0] in _INITIALS and _FORWARDING.fullmatch(field[0]))]
    return kept + [field for field in ours if field[1]]


@lru_cache(maxsize=256)  # the requests of one connection say the same
def _own_fields(peer: str, secure: bool, authority: bytes, port: int) -> tuple[tuple[bytes, bytes], ...]:
    address = plain_address(peer)
    scheme = b"https" if secure else b"http"
    return (
        (b"X-Forwarded-For", address.encode("ascii")),
        (b"X-Forwarded-Proto", scheme),
        (b"X-Forwarded-Host", authority),
        (b"X-Forwarded-Port", b"%d" % port if port else b""),
        (b"Forwarded", _element(address, scheme, authority)),
    )


def certificate_fields(subject: str, names: Iterable[str], sha256: str) -> Fields:
    """Who showed a client certificate: X-Client-Cert-Subject (RFC 4514), -SAN (a list) and -Fingerprint.

    ``names`` have their type before a colon.  Bytes that have no place in a field are percent-encoded UTF-8, with "%"
    itself, and a comma within a name; a subject or names beyond 4 KiB are left out.
    """
    shown = quote(subject, safe=_PRINTABLE).encode("ascii")
    fields = [(b"X-Client-Cert-Subject", shown)] if 0 < len(shown) <= _MAX_CERT_FIELD else []
    listed = b""
    for name in names:
        longer = b", ".join(filter(None, (listed, quote(name, safe=_PRINTABLE.replace(",", "")).encode("ascii"))))
        if len(longer) > _MAX_CERT_FIELD:
            break
        listed = longer
    if listed:
        fields.append((b"X-Client-Cert-SAN", listed))
    fields.append((b"X-Client-Cert-Fingerprint", sha256.encode("ascii")))
    return fields


def _appended(incoming: Fields, ours: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Continue what a trusted peer says: lists grow by our member, single values stay if they are there."""
    lists: dict[bytes, list[bytes]] = {b"x-forwarded-for": [], b"forwarded": []}
    present = set()
    kept = []
    for name, value in incoming:
        key = name.lower()
        if key in lists:
            lists[key].append(value)
        elif _FORWARDING.fullmatch(key) is None or b"_" not in key and _CLIENT_CERT.fullmatch(key) is None:
            present.add(key)
            kept.append((name, value))
    for name, value in ours:
        key = name.lower()
        if key in lists:
            value = b", ".join(filter(None, [*lists[key], value]))
        if value and key not in present:
            kept.append((name, value))
    return kept


def _element(address: str, scheme: bytes, authority: bytes) -> bytes:
    """One member of Forwarded (RFC 7239 section 4)."""
    node = f'"[{address}]"' if ":" in address else address or "unknown"
    element = b"for=%b;proto=%b" % (node.encode("ascii"), scheme)
    return element + b";host=" + _quoted(authority) if authority else element


def _quoted(value: bytes) -> bytes:
    """A token as it stands, anything else as a quoted string (RFC 9110 section 5.6.4)."""
    if _TOKEN.fullmatch(value):
        return value
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def plain_address(peer: str) -> str:
    """An address as others know it: IPv4 seen by a dual-stack socket as IPv4, and without the zone of a link."""
    address = peer.partition("%")[0]
    return address[7:] if address[:7].lower() == "::ffff:" and "." in address else address


def client_address(peer: str, trusts: Callable[[str], bool], incoming: Fields) -> str:
    """The address of the client: the last one in X-Forwarded-For that no trusted proxy answers for.

    ``peer`` is who is connected; ``trusts`` says whether an address is a trusted proxy.  Where all are trusted it is
    the first of them; a member that is no address ends the search at the proxy that wrote it.
    """
    client = plain_address(peer)
    if not trusts(client):
        return client
    chain = b",".join([value for name, value in incoming if name.lower() == b"x-forwarded-for"])
    for member in reversed(chain.decode("latin-1").split(",")[-_MAX_HOPS:]):
        match = _HOP.fullmatch(member.strip(" \t"))
        hop = _address(match[match.lastindex or 0]) if match else None
        if hop is None:
            break
        client = hop
        if not trusts(client):
            break
    return client


def _address(text: str) -> str | None:
    """The shortest form of an address, IPv4 as IPv4; None where it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)
