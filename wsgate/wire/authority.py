"""The authority of a request: a host and perhaps a port, as Host or an absolute target carry it."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

from wsgate.causes import Cause
from wsgate.wire.fields import HeadError

# RFC 3986 section 3.2.2 without what no real name holds (sub-delims, escapes, userinfo): a host is compared with
# routes, written into fields and logged, so it stays to letters, digits, "-", "_" and single dots.
_AUTHORITY = re.compile(rb"(?:((?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+)\.?|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{0,5}))?")
_MAX_NAME = 253
"""RFC 1035 section 2.3.4, in bytes as text."""


def host_of(authority: bytes) -> str:
    """The host in lower case, without port, last dot and brackets; an IPv6 address in its shortest form.

    Raises HeadError (BAD_REQUEST) where it is not a host with an optional port below 65536.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise HeadError(Cause.BAD_REQUEST, "the host is not valid")
    name, address, port = match.groups()
    if port and int(port) > 65535:
        raise HeadError(Cause.BAD_REQUEST, "the port is not valid")
    if name is not None:
        if len(name) > _MAX_NAME:
            raise HeadError(Cause.BAD_REQUEST, "the host is too long")
        return name.lower().decode("ascii")
    try:
        return str(IPv6Address(address.decode("ascii")))
    except AddressValueError:
        raise HeadError(Cause.BAD_REQUEST, "the host is not an IPv6 address") from None
