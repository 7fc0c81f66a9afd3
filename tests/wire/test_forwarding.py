"""Who asked: what servers are told, and what is believed of proxies in front."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.wire.fields import Fields
from wsgate.wire.forwarding import certificate_fields, client_address, forwarded_fields, plain_address

NAMES = (b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Forwarded-Port", b"Forwarded")


def told(incoming: Fields, trusted: bool = False, peer: str = "192.0.2.1") -> Fields:
    return forwarded_fields(peer, True, b"example.org:8443", 8443, incoming, trusted)


OURS = [
    (b"X-Forwarded-For", b"192.0.2.1"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Host", b"example.org:8443"),
    (b"X-Forwarded-Port", b"8443"),
    (b"Forwarded", b'for=192.0.2.1;proto=https;host="example.org:8443"'),
]


def test_what_a_server_is_told() -> None:
    fields = [(b"Host", b"example.org:8443"), (b"Forward", b"x"), (b"X-Forwarder", b"y")]
    assert told(fields) == fields + OURS
    assert told(fields, trusted=True) == fields + OURS


@pytest.mark.parametrize(
    ("peer", "secure", "authority", "expected"),
    [
        ("2001:db8::1", False, b"a", [b"2001:db8::1", b"http", b"a", b"80", b'for="[2001:db8::1]";proto=http;host=a']),
        ("fe80::1%eth0", True, b"a", [b"fe80::1", b"https", b"a", b"80", b'for="[fe80::1]";proto=https;host=a']),
        ("::ffff:192.0.2.9", False, b"a", [b"192.0.2.9", b"http", b"a", b"80", b"for=192.0.2.9;proto=http;host=a"]),
        (
            "192.0.2.9",
            False,
            b"[::1]",
            [b"192.0.2.9", b"http", b"[::1]", b"80", b'for=192.0.2.9;proto=http;host="[::1]"'],
        ),
        (
            "192.0.2.9",
            False,
            b'"\\',
            [b"192.0.2.9", b"http", b'"\\', b"80", b'for=192.0.2.9;proto=http;host="\\"\\\\"'],
        ),
    ],
)
def test_forms_of_addresses(peer: str, secure: bool, authority: bytes, expected: list[bytes]) -> None:
    """RFC 7239 section 6: IPv6 in brackets and quotes; an IPv4 peer of a dual-stack socket is IPv4."""
    assert forwarded_fields(peer, secure, authority, 80, [], False) == list(zip(NAMES, expected, strict=True))


def test_a_peer_without_an_address() -> None:
    """A unix socket: there is nothing to say about the client, and in HTTP/1.0 perhaps no host."""
    assert forwarded_fields("", False, b"", 80, [(b"X-Forwarded-For", b"1.2.3.4")], False) == [
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Port", b"80"),
        (b"Forwarded", b"for=unknown;proto=http"),
    ]


@pytest.mark.parametrize("trusted", [False, True])
def test_a_listener_without_a_port_tells_none(trusted: bool) -> None:
    """A unix socket: a server that builds its links with port 0 would send everybody astray."""
    told = forwarded_fields("", False, b"a", 0, [], trusted)
    assert told == [
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"a"),
        (b"Forwarded", b"for=unknown;proto=http;host=a"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *(b"X-Forwarded-For", b"x-forwarded-for", b"X_Forwarded_For", b"X-Forwarded_For", b"X_FORWARDED-FOR"),
        *(b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Forwarded-Port", b"X-Forwarded-Ssl", b"X-Forwarded-New"),
        *(b"Forwarded", b"FORWARDED", b"X-Real-IP", b"x_real_ip", b"X-Forwarded"),
    ],
)
def test_what_a_client_says_of_itself_is_dropped(name: bytes) -> None:
    assert told([(b"A", b"b"), (name, b"1.2.3.4"), (name, b"5.6.7.8")]) == [(b"A", b"b"), *OURS]


def test_a_trusted_peer_is_continued() -> None:
    """Addresses grow by the peer; what the outermost proxy saw stays."""
    incoming = [
        (b"x-forwarded-for", b"203.0.113.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"A", b"b"),
        (b"X-Forwarded-For", b"203.0.113.2, 203.0.113.3"),
        (b"X-Real-IP", b"203.0.113.1"),
        (b"X-Forwarded-Host", b"outer.example"),
        (b"forwarded", b"for=203.0.113.1"),
    ]
    assert told(incoming, trusted=True) == [
        (b"X-Forwarded-Proto", b"http"),
        (b"A", b"b"),
        (b"X-Real-IP", b"203.0.113.1"),
        (b"X-Forwarded-Host", b"outer.example"),
        (b"X-Forwarded-For", b"203.0.113.1, 203.0.113.2, 203.0.113.3, 192.0.2.1"),
        (b"X-Forwarded-Port", b"8443"),
        (b"Forwarded", b'for=203.0.113.1, for=192.0.2.1;proto=https;host="example.org:8443"'),
    ]


def test_a_trusted_peer_without_an_address() -> None:
    """It adds nothing to the addresses."""
    fields = forwarded_fields("", False, b"", 80, [(b"X-Forwarded-For", b"203.0.113.1")], True)
    assert fields[0] == (b"X-Forwarded-For", b"203.0.113.1")
    assert fields[-1] == (b"Forwarded", b"for=unknown;proto=http")


def test_odd_spellings_are_dropped_from_a_trusted_peer_too() -> None:
    """It passed them on from anybody."""
    assert told([(b"X_Forwarded_For", b"1.2.3.4"), (b"x_real_ip", b"1"), (b"a_b", b"c")], trusted=True) == [
        (b"a_b", b"c"),
        *OURS,
    ]


def trusts(address: str) -> bool:
    return address.startswith("10.") or address == "::1"


@pytest.mark.parametrize(
    ("peer", "chain", "client"),
    [
        ("192.0.2.1", [b"1.2.3.4"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"192.0.2.1"], "192.0.2.1"),
        ("::ffff:10.0.0.1", [b"192.0.2.1"], "192.0.2.1"),
        ("::1", [b"192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", [b"6.6.6.6, 192.0.2.1, 10.0.0.3,10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", [b"6.6.6.6", b"192.0.2.1", b"10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"192.0.2.1:4711"], "192.0.2.1"),
        ("10.0.0.1", [b"2001:DB8:0::1"], "2001:db8::1"),
        ("10.0.0.1", [b"[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", [b"[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", [b"::ffff:192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", [b"::ffff:c000:201"], "192.0.2.1"),
        ("10.0.0.1", [b"6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"6.6.6.6, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b"999.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", [b"\xff"], "10.0.0.1"),
        ("10.0.0.1", [b", ".join([b"192.0.2.1"] + [b"10.0.0.2"] * 5000)], "10.0.0.2"),
    ],
)
def test_the_client_is_the_last_that_no_trusted_proxy_answers_for(peer: str, chain: list[bytes], client: str) -> None:
    fields = [(b"Host", b"a"), *((b"X-forwarded-For", value) for value in chain)]
    assert client_address(peer, trusts, fields) == client


@pytest.mark.parametrize(
    ("peer", "plain"),
    [("::FFFF:1.2.3.4", "1.2.3.4"), ("::1", "::1"), ("fe80::1%2", "fe80::1"), ("1.2.3.4", "1.2.3.4"), ("", "")],
)
def test_plain_addresses(peer: str, plain: str) -> None:
    assert plain_address(peer) == plain


_hops = st.sampled_from([b"10.0.0.2", b"192.0.2.1", b"::1", b"x", b"", b" 10.1.1.1 ", b"[::1]:5", b"10.0.0.2:7"])


@given(st.lists(st.lists(_hops, max_size=4).map(b",".join) | st.binary(max_size=20), max_size=3))
def test_laws(values: list[bytes]) -> None:
    """The client is always an address, and never one that was written left of an untrusted one."""
    fields = [(b"X-Forwarded-For", value) for value in values]
    client = client_address("10.0.0.1", trusts, fields)
    assert str(ip_address(client)) == client
    assert (
        client_address(
            "10.0.0.1", trusts, [(b"X-Forwarded-For", b"6.6.6.6"), *fields, (b"X-Forwarded-For", b"192.0.2.7")]
        )
        == "192.0.2.7"
    )
    assert client_address("192.0.2.1", trusts, fields) == "192.0.2.1"
    assert told(fields) == OURS


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        b"X-Client-Cert-Subject",
        b"x-client-cert-san",
        b"X_Client_Cert_Fingerprint",
        b"X-Client-Cert",
        b"X-CLIENT-CERT-z",
    ],
)
def test_nobody_can_claim_a_client_certificate(name: bytes, trusted: bool) -> None:
    """Not even a trusted proxy: it shows its own certificate."""
    kept = [(b"X-Client-Certificate", b"theirs"), (b"X-Client", b"1")]
    assert told([(name, b"CN=admin"), *kept], trusted) == kept + OURS


def test_what_a_server_is_told_of_a_client_certificate() -> None:
    names = ("dns:alice.example.org", "uri:urn:a,b", "email:al\u00efce@example.org")
    assert certificate_fields("CN=al\u00efce,O=50% x\n", names, "ab" * 32) == [
        (b"X-Client-Cert-Subject", b"CN=al%C3%AFce,O=50%25 x%0A"),
        (b"X-Client-Cert-SAN", b"dns:alice.example.org, uri:urn:a%2Cb, email:al%C3%AFce@example.org"),
        (b"X-Client-Cert-Fingerprint", b"ab" * 32),
    ]


def test_facts_of_a_certificate_that_are_too_long_are_left_out() -> None:
    fields = dict(certificate_fields("CN=" + "a" * 5000, ["dns:first", "dns:" + "b" * 5000, "dns:c"], ""))
    assert fields == {b"X-Client-Cert-SAN": b"dns:first", b"X-Client-Cert-Fingerprint": b""}
    assert certificate_fields("", (), "00") == [(b"X-Client-Cert-Fingerprint", b"00")]


@given(st.text(), st.lists(st.text(min_size=1), max_size=5))
def test_no_certificate_breaks_a_head(subject: str, names: list[str]) -> None:
    for _, value in certificate_fields(subject, names, "00"):
        assert all(0x20 <= byte < 0x7F for byte in value)
        assert value.count(b",") <= max(len(names) - 1, subject.count(","))
