"""PROXY headers of both versions: read in any pieces, refused when wrong, and written so that they are read back."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgate.wire.proxy_protocol import (
    MAX_V1,
    MAX_V2,
    Endpoint,
    ProxyHeader,
    ProxyReader,
    encode_v1,
    encode_v2,
)
from wsgate.wire.proxy_tlvs import ProxyError, ProxyTls, Tlv, encode_tlvs

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT, GATE = ("192.0.2.7", 51111), ("198.51.100.1", 443)
CLIENT6, GATE6 = ("2001:db8::7", 51111), ("2001:db8::1", 443)
V4 = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + (51111).to_bytes(2, "big") + (443).to_bytes(2, "big")


def v2(block: bytes, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(block).to_bytes(2, "big") + block


def read(data: bytes, tail: bytes = b"GET / HTTP/1.1\r\n") -> ProxyHeader | None:
    """Read whole, with a tail and byte by byte; the answers and what is left must agree."""
    whole = ProxyReader()
    header = whole.feed(memoryview(data))
    assert whole.rest == b""
    if header is not None:
        longer = ProxyReader()
        assert longer.feed(data + tail) == header
        assert longer.rest == tail
        assert longer.feed(b"more") == header
        assert longer.rest == tail + b"more"
    slow = ProxyReader()
    assert slow.feed(b"") is None
    for at in range(len(data)):
        answer = slow.feed(data[at : at + 1])
        assert answer == (header if at + 1 == len(data) else None)
        assert slow.rest == b""
    return header


def refused(data: bytes) -> str:
    """The text of the error, which must be the same whole, with a tail and byte by byte."""
    texts = set()
    for chunks in ([data], [data + b"\r\n tail"], [data[at : at + 1] for at in range(len(data))]):
        reader = ProxyReader()
        with pytest.raises(ProxyError) as caught:
            for chunk in chunks:
                assert reader.feed(chunk) is None
        texts.add(str(caught.value))
    assert len(texts) == 1
    return texts.pop()


# ---- version 1 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "source", "destination"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 51111 443\r\n", CLIENT, GATE),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 51111 443\r\n", CLIENT6, GATE6),
        (b"PROXY TCP6 2001:DB8:0:0:0:0:0:7 2001:db8::1 51111 443\r\n", CLIENT6, GATE6),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c633:6401 51111 443\r\n", CLIENT, GATE),
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", ("0.0.0.0", 0), ("255.255.255.255", 65535)),
        (b"PROXY UNKNOWN\r\n", None, None),
        (b"PROXY UNKNOWN \r\n", None, None),
        (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", None, None),
    ],
)
def test_a_line_of_version_1_is_read(line: bytes, source: Endpoint | None, destination: Endpoint | None) -> None:
    assert read(line) == ProxyHeader(1, False, source, destination)


def test_the_longest_line_of_the_specification_fits() -> None:
    host = ":".join(["ffff"] * 8)
    line = f"PROXY TCP6 {host} {host} 65535 65535\r\n".encode()
    assert len(line) == 104 <= MAX_V1
    assert read(line) == ProxyHeader(1, False, (host, 65535), (host, 65535))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"PROXY TCP4 999.0.113.7 198.51.100.1 1 2\r\n", "wrong address"),
        (b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", "wrong address"),
        (b"PROXY TCP4 localhost 198.51.100.1 1 2\r\n", "wrong address"),
        (b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", "wrong address"),
        (b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n", "wrong address"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.\xb2 1 2\r\n", "wrong address"),
        (b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "scoped address"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 99999999 2\r\n", "wrong port"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n", "wrong port"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n", "wrong port"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n", "wrong port"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 http 2\r\n", "wrong port"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 \r\n", "wrong port"),
        (b"PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n", "two addresses and two ports"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", "two addresses and two ports"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n", "two addresses and two ports"),
        (b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", "two addresses and two ports"),
        (b"PROXY UNKNOWNS\r\n", "two addresses and two ports"),
        (b"PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n", "two addresses and two ports"),
        (b"PROXY \r\n", "two addresses and two ports"),
        (b"PROXY UNKNOWN\n", "wrong end"),
        (b"PROXY UNKNOWN\rX", "wrong end"),
        (b"PROXY UNKNOWN\r\r\n", "wrong end"),
        (b"PROXY UNKNOWN " + b"f" * 93, "more than 107 bytes"),
        (b"PROXY UNKNOWN " + b"f" * 92 + b"\r", "more than 107 bytes"),
        (b"PROXY\r\n", "no PROXY header"),
        (b"PROXYX", "no PROXY header"),
        (b"proxy TCP4", "no PROXY header"),
        (b"POST / HTTP/1.1\r\n", "no PROXY header"),
        (b"\x16\x03\x01", "no PROXY header"),
        (b" PROXY UNKNOWN\r\n", "no PROXY header"),
        (b"\r\n\r\n\0\r\nQUIT\r", "no PROXY header"),
        (b"\r\nPROXY UNKNOWN\r\n", "no PROXY header"),
    ],
)
def test_a_wrong_line_is_refused(line: bytes, text: str) -> None:
    assert text in refused(line)


def test_an_unfinished_line_waits() -> None:
    for data in (b"", b"P", b"PROXY", b"PROXY TCP4 192.0.2.7 ", b"PROXY UNKNOWN\r", b"PROXY " + b"x" * 100):
        assert read(data) is None


# ---- version 2 -------------------------------------------------------------------------------------------------------


def test_headers_that_haproxy_sent_are_read() -> None:
    """Recorded from HAProxy 2.6 with ``send-proxy-v2`` and all of its options, checksum included."""
    plain = bytes.fromhex(
        "0d0a0d0a000d0a515549540a2111002b7f0000017f000001ea94a7e70300047d6780b005000d37463030303030313a45413934"
        "2000050000000000"
    )
    assert read(plain) == ProxyHeader(2, False, ("127.0.0.1", 60052), ("127.0.0.1", 42983), unique_id=b"7F000001:EA94")
    six = bytes.fromhex(
        "0d0a0d0a000d0a515549540a212100360000000000000000000000000000000100000000000000000000000000000001b25e9ed9"
        "030004d06a5b580500002000050000000000"
    )
    assert read(six) == ProxyHeader(2, False, ("::1", 45662), ("::1", 40665))
    unix = bytes.fromhex("0d0a0d0a000d0a515549540a20000012030004955e6a000500002000050000000000")
    assert read(unix) == ProxyHeader(2, local=True)
    tls = bytes.fromhex(
        "0d0a0d0a000d0a515549540a2111008a7f0000017f000001bf8aa30b0300040dc2f626010008687474702f312e3102000a67772e"
        "6578616d706c6505000d37463030303030313a4246384120004c0700000000210007544c5376312e3322000a636c69656e74206f"
        "6e652500075253413230343824000a5253412d534841323536230016544c535f4145535f3235365f47434d5f534841333834"
    )
    assert read(tls) == ProxyHeader(
        2,
        False,
        ("127.0.0.1", 49034),
        ("127.0.0.1", 41739),
        b"http/1.1",
        "gw.example",
        b"7F000001:BF8A",
        ProxyTls(7, 0, "TLSv1.3", "client one", "TLS_AES_256_GCM_SHA384", "RSA-SHA256", "RSA2048"),
    )


@pytest.mark.parametrize("block", [b"", b"noise that counts for nothing", bytes(MAX_V2)])
@pytest.mark.parametrize("family", [0x00, 0x11, 0x31, 0xFF])
def test_a_local_header_is_valid_whatever_is_in_it(block: bytes, family: int) -> None:
    assert read(v2(block, 0x20, family)) == ProxyHeader(2, local=True)


@pytest.mark.parametrize(
    ("family", "size"),
    [(0x00, 0), (0x01, 0), (0x10, 12), (0x12, 12), (0x20, 36), (0x22, 36), (0x30, 216), (0x31, 216), (0x32, 216)],
)
def test_what_is_not_tcp_over_ip_has_no_addresses_but_its_values_count(family: int, size: int) -> None:
    alpn = encode_tlvs([(Tlv.ALPN, b"h2")])
    assert read(v2(bytes(size) + alpn, family=family)) == ProxyHeader(2, alpn=b"h2")
    if size:
        assert refused(v2(bytes(size - 1), family=family)) == "PROXY addresses cut short"


def test_tcp_over_ip_has_addresses() -> None:
    assert read(v2(V4)) == ProxyHeader(2, False, CLIENT, GATE)
    mapped = IPv6Address("::ffff:192.0.2.7").packed + IPv6Address("2001:db8::1").packed + V4[-4:]
    assert read(v2(mapped, family=0x21)) == ProxyHeader(2, False, CLIENT, GATE6)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (SIGNATURE + b"\x11", "version and command 0x11"),
        (SIGNATURE + b"\x22", "version and command 0x22"),
        (SIGNATURE + b"\x21\x41", "family and protocol 0x41"),
        (SIGNATURE + b"\x21\x13", "family and protocol 0x13"),
        (SIGNATURE + b"\x21\x11\xff\xff", "65535 bytes, 8192 allowed"),
        (SIGNATURE + b"\x20\x00\x20\x01", "8193 bytes, 8192 allowed"),
        (v2(V4[:-1]), "addresses cut short"),
        (v2(bytes(35), family=0x21), "addresses cut short"),
        (v2(V4 + b"\x01"), "value cut short"),
        (v2(V4 + b"\x01\0\x03h2"), "value cut short"),
        (v2(V4 + encode_tlvs([(1, b"a"), (1, b"b")])), "value 0x01 twice"),
        (v2(V4 + encode_tlvs([(2, b"a"), (2, b"a")])), "value 0x02 twice"),
        (v2(V4 + encode_tlvs([(5, b""), (5, b"")])), "value 0x05 twice"),
        (v2(V4 + encode_tlvs([(0x20, bytes(5)), (0x20, bytes(5))])), "value 0x20 twice"),
        (v2(V4 + encode_tlvs([(2, b"\xff")])), "authority is not UTF-8"),
        (v2(V4 + encode_tlvs([(2, b'a"\n{}')])), "authority holds what cannot be printed"),
        (v2(V4 + encode_tlvs([(5, bytes(129))])), "unique id of more than 128 bytes"),
        (v2(V4 + encode_tlvs([(0x20, bytes(4))])), "TLS value cut short"),
        (v2(V4 + encode_tlvs([(3, b"abc")])), "checksum of 3 bytes"),
        (v2(V4 + encode_tlvs([(3, b"abcd")])), "checksum does not match"),
    ],
)
def test_a_wrong_header_is_refused(data: bytes, text: str) -> None:
    assert text in refused(data)


def test_the_bound_of_version_2_is_the_callers() -> None:
    assert ProxyReader(max_v2=12).feed(v2(V4)) == ProxyHeader(2, False, CLIENT, GATE)
    with pytest.raises(ProxyError, match="12 bytes, 11 allowed"):
        ProxyReader(max_v2=11).feed(v2(V4)[:16])


def test_a_unique_id_has_up_to_128_bytes() -> None:
    header = read(v2(V4 + encode_tlvs([(Tlv.UNIQUE_ID, b"u" * 128)])))
    assert header == ProxyHeader(2, False, CLIENT, GATE, unique_id=b"u" * 128)


def test_padding_is_skipped_and_other_values_are_kept() -> None:
    tlvs = [(Tlv.NOOP, b"pad"), (0xE0, b"mine"), (Tlv.NOOP, b""), (Tlv.NETNS, b"ns"), (0xE0, b"again")]
    header = read(v2(V4 + encode_tlvs(tlvs)))
    assert header is not None
    assert header.other == ((0xE0, b"mine"), (0x30, b"ns"), (0xE0, b"again"))


@pytest.mark.parametrize("place", [*range(16, 52), *range(55, 64), *range(67, 77), *range(80, 84)])
@pytest.mark.parametrize("change", [1, 128])
def test_a_checksum_finds_a_changed_byte_of_addresses_values_and_of_itself(place: int, change: int) -> None:
    data = bytearray(encode_v2(CLIENT6, GATE6, [(Tlv.AUTHORITY, b"a.example"), (0xE0, bytes(10))], checksum=True))
    assert len(data) == 84
    assert read(bytes(data)) is not None
    data[place] ^= change
    with pytest.raises(ProxyError, match="checksum does not match"):
        ProxyReader().feed(bytes(data))


# ---- both ways -------------------------------------------------------------------------------------------------------

PORTS = st.integers(0, 65535)
ENDS4 = st.tuples(st.ip_addresses(v=4).map(str), PORTS)
ENDS6 = st.tuples(st.ip_addresses(v=6).filter(lambda ip: ip.ipv4_mapped is None).map(str), PORTS)
ENDS = st.one_of(ENDS4, ENDS6)
NAMES = st.text(st.characters(categories=("L", "N")), max_size=20)
TLS = st.builds(
    ProxyTls, st.sampled_from([1, 3, 7]), st.integers(0, 5), NAMES, NAMES, certificate=st.binary(max_size=99)
)
OTHER = st.lists(st.tuples(st.integers(0xE0, 0xEF), st.binary(max_size=50)), max_size=3)


@given(source=ENDS, destination=ENDS)
def test_version_1_is_read_back(source: Endpoint, destination: Endpoint) -> None:
    line = encode_v1(source, destination)
    assert len(line) <= MAX_V1
    assert read(line) == ProxyHeader(1, False, source, destination)
    both4 = all(":" not in host for host, _ in (source, destination))
    assert line.startswith(b"PROXY TCP4 " if both4 else b"PROXY TCP6 ")


@settings(deadline=None)
@given(
    source=ENDS,
    destination=ENDS,
    alpn=st.binary(max_size=20),
    authority=NAMES,
    unique_id=st.binary(max_size=128),
    tls=st.none() | TLS,
    other=OTHER,
    checksum=st.booleans(),
)
def test_version_2_is_read_back(
    source: Endpoint,
    destination: Endpoint,
    alpn: bytes,
    authority: str,
    unique_id: bytes,
    tls: ProxyTls | None,
    other: list[tuple[int, bytes]],
    checksum: bool,
) -> None:
    tlvs = [(int(Tlv.ALPN), alpn), (int(Tlv.AUTHORITY), authority.encode()), (int(Tlv.UNIQUE_ID), unique_id), *other]
    if tls is not None:
        tlvs.append((int(Tlv.SSL), tls.encode()))
    data = encode_v2(source, destination, tlvs, checksum)
    assert read(data) == ProxyHeader(2, False, source, destination, alpn, authority, unique_id, tls, tuple(other))


@given(data=st.sampled_from([b"PROXY ", SIGNATURE, b""]), noise=st.binary(max_size=150), cut=st.integers(0, 160))
def test_noise_raises_nothing_but_proxy_errors(data: bytes, noise: bytes, cut: int) -> None:
    data += noise
    reader = ProxyReader()
    try:
        header = reader.feed(data[:cut]) or reader.feed(data[cut:])
    except ProxyError:
        return
    assert header is None or data.endswith(reader.rest)


def test_the_bytes_of_a_version_2_header_are_those_of_the_specification() -> None:
    assert encode_v2(CLIENT, GATE) == v2(V4)
    six = IPv6Address(CLIENT6[0]).packed + IPv6Address(GATE6[0]).packed + V4[-4:]
    assert encode_v2(CLIENT6, GATE6, [(Tlv.ALPN, b"h2")]) == v2(six + b"\x01\0\x02h2", family=0x21)
    assert encode_v2(None, None) == v2(b"", 0x20, 0)


def test_an_unknown_end_makes_the_header_unknown_or_local() -> None:
    for ends in ((None, GATE), (CLIENT, None), (None, None)):
        assert read(encode_v1(*ends)) == ProxyHeader(1)
        assert read(encode_v2(*ends, [(Tlv.AUTHORITY, b"a")], checksum=True)) == ProxyHeader(2, local=True)


def test_mapped_and_scoped_addresses_are_sent_as_what_they_are() -> None:
    assert encode_v1(("::ffff:192.0.2.7", 1), GATE) == b"PROXY TCP4 192.0.2.7 198.51.100.1 1 443\r\n"
    assert encode_v1(("fe80::1%eth0", 1), ("fe80::2%3", 2)) == b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n"
    mixed = encode_v2(CLIENT, GATE6)
    assert mixed[16:32] == bytes(10) + b"\xff\xff" + IPv4Address(CLIENT[0]).packed


def test_what_is_no_address_or_port_is_not_encoded() -> None:
    for encode in (encode_v1, encode_v2):
        with pytest.raises(ValueError, match="localhost"):
            encode(("localhost", 1), GATE)
        with pytest.raises(OverflowError):
            encode(("192.0.2.7", 65536), GATE)
    with pytest.raises(OverflowError):
        encode_v2(None, None, [(0xE0, bytes(40000)), (0xE1, bytes(40000))])
