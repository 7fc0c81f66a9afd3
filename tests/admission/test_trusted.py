"""Whose word about the client is taken."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.admission.trusted import TrustedPeers

NETWORKS = tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::ffff:198.51.100.0/120")))


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.0.0.1", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("198.51.100.9", True),
        ("::ffff:198.51.100.9", True),
        ("::198.51.100.9", False),
        ("2001:db8::5%eth0", True),
        ("", False),
        ("/run/wsgate.sock", False),
        ("10.1.2.3, 8.8.8.8", False),
        ("010.1.2.3", False),
        ("localhost", False),
    ],
)
def test_a_peer_is_trusted_by_its_address_alone(host: str, trusted: bool) -> None:
    peers = TrustedPeers(NETWORKS)
    assert [peers.trusts(host), peers.trusts(host)] == [trusted, trusted]


def test_without_networks_nobody_is_trusted() -> None:
    assert not TrustedPeers(()).trusts("127.0.0.1")


def test_all_of_ipv6_does_not_hold_the_ipv4_peers_of_a_dual_stack_listener() -> None:
    peers = TrustedPeers([ip_network("::/0")])
    assert peers.trusts("::1")
    assert not peers.trusts("::ffff:192.0.2.1")


def test_more_peers_than_are_remembered_get_the_right_answer() -> None:
    peers = TrustedPeers([ip_network("10.0.0.0/9")])
    for number in range(0, 2**24, 1999):
        host = str(IPv4Address(0x0A000000 + number))
        assert peers.trusts(host) == (number < 2**23)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_mapped_and_plain_peers_and_networks_agree(address: int, base: int, prefix: int) -> None:
    plain = ip_network((base, prefix), strict=False)
    mapped = ip_network(f"::ffff:{plain.network_address}/{prefix + 96}")
    expected = IPv4Address(address) in plain
    for network in (plain, mapped):
        peers = TrustedPeers([network])
        assert peers.trusts(str(IPv4Address(address))) == expected
        assert peers.trusts(str(IPv6Address(0xFFFF00000000 + address))) == expected
