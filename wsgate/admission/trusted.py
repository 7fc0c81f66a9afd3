"""Is a peer one of the proxies whose word about the client is taken (``trusted_proxies``)?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from wsgate.config.model import Network

# Answers that are kept; past that all are forgotten, so that many peers cannot make the gateway grow.
_KEPT = 4096
_MAPPED = IPv6Network("::ffff:0:0/96")


class TrustedPeers:
    """The networks of trusted proxies.

    A dual-stack listener sees IPv4 peers as ``::ffff:a.b.c.d``: these count as IPv4, in peers and in networks.  A peer
    without an IP address (a unix socket) is never trusted, since no network holds it.
    """

    __slots__ = ("_known", "_networks")

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(_unmapped(network) for network in networks)
        self._known: dict[str, bool] = {}

    def trusts(self, host: str) -> bool:
        """True where ``host``, the peer's address as text, lies in one of the networks."""
        if not self._networks:
            return False
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[host] = self._looked_up(host)
        return known

    def _looked_up(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._networks)


@lru_cache(maxsize=64)
def peers_of(networks: tuple[Network, ...]) -> TrustedPeers:
    """The trusted peers of a tuple of networks; the same object for the same networks."""
    return TrustedPeers(networks)


def _unmapped(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network
