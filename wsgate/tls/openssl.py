"""What wsgate needs of OpenSSL and pyOpenSSL does not publish.

The names come from pyOpenSSL's own binding, which is private: they are used in this module alone (and in the TLS leg),
and a test fails when a release moves them.
"""

from __future__ import annotations

from collections.abc import Sequence

from OpenSSL import SSL
from OpenSSL._util import lib


def set_groups(context: SSL.Context, groups: Sequence[str]) -> None:
    """Offer and accept these key exchange groups only, the first preferred (SSL_CTX_set1_curves_list(3)).

    Raises ``SSL.Error`` when OpenSSL knows one of them not.
    """
    if lib.SSL_CTX_set1_curves_list(context._context, ":".join(groups).encode()) != 1:
        lib.ERR_clear_error()
        raise SSL.Error(f"this OpenSSL does not know all of the groups {', '.join(groups)}")


def session_reused(connection: SSL.Connection) -> bool:
    """Whether the handshake of ``connection`` resumed an earlier session (SSL_session_reused(3))."""
    return bool(lib.SSL_session_reused(connection._ssl))
