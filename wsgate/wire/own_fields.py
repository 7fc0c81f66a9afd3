"""Fields that the gateway adds to answers: those of an origin server, and Strict-Transport-Security."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache

from wsgate.wire.fields import Fields

_HSTS = b"Strict-Transport-Security"


@lru_cache(maxsize=2)
def origin_fields(second: int, server: str) -> Fields:
    """The fields of an origin server, for answers of the gateway's own (RFC 9110 sections 6.6.1 and 10.2.4).

    ``second`` is since the epoch; ``server`` names the software, empty for none.  All answers of one second get the
    same object, which is not to be changed.
    """
    fields = [(b"Date", formatdate(second, usegmt=True).encode("ascii"))]
    if server:
        fields.append((b"Server", server.encode("latin-1")))
    return fields


def with_hsts(fields: Fields, hsts: bytes) -> Fields:
    """``fields`` with Strict-Transport-Security (RFC 6797 section 6.1) where ``hsts`` has a value and none is there."""
    if not hsts or any(name.lower() == _HSTS.lower() for name, _ in fields):
        return fields
    return [*fields, (_HSTS, hsts)]
