"""The values of a PROXY header v2: their bytes, the TLS value, and the checksum."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.wire.proxy_tlvs import ProxyError, ProxyTls, Tlv, crc32c, encode_tlvs, parse_ssl, parse_tlvs, plain_text

TEXTS = st.text(st.characters(categories=("L", "N", "P", "S")), max_size=20)


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0x00000000),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_the_checksum_has_the_published_values(data: bytes, crc: int) -> None:
    """The vectors of RFC 3720 appendix B.4, and the usual check value."""
    assert crc32c(data) == crc


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300))))
def test_values_are_read_back_with_their_places(tlvs: list[tuple[int, bytes]]) -> None:
    block = encode_tlvs(tlvs)
    read = list(parse_tlvs(block))
    assert [(kind, value) for kind, _, value in read] == tlvs
    assert all(block[at : at + len(value)] == value for _, at, value in read)


@pytest.mark.parametrize("block", [b"\x01", b"\x01\0", b"\x01\0\x01", b"\x04\0\0\x02\0\x05abcd", b"\x04\xff\xff"])
def test_a_value_cut_short_is_refused(block: bytes) -> None:
    with pytest.raises(ProxyError, match="cut short"):
        list(parse_tlvs(block))


def test_what_does_not_fit_is_not_encoded() -> None:
    assert len(encode_tlvs([(255, bytes(65535))])) == 65538
    for wrong in ((1, bytes(65536)), (256, b"")):
        with pytest.raises(OverflowError):
            encode_tlvs([wrong])


@given(
    st.builds(
        ProxyTls,
        flags=st.sampled_from([1, 3, 5, 7]),
        verify=st.integers(0, 0xFFFFFFFF),
        version=TEXTS,
        common_name=TEXTS,
        cipher=TEXTS,
        signature_algorithm=TEXTS,
        key_algorithm=TEXTS,
        group=TEXTS,
        signature_scheme=TEXTS,
        certificate=st.binary(max_size=2000),
    )
)
def test_a_tls_value_is_read_back(tls: ProxyTls) -> None:
    assert parse_ssl(tls.encode()) == tls


def test_the_tls_value_has_the_registered_types() -> None:
    tls = ProxyTls(7, 0, "TLSv1.3", "cn", "c", "s", "k", "g", "h", b"der")
    expected = [(0x21, b"TLSv1.3"), (0x22, b"cn"), (0x23, b"c"), (0x24, b"s"), (0x25, b"k"), (0x26, b"g"), (0x27, b"h")]
    assert tls.encode() == b"\x07\0\0\0\0" + encode_tlvs([*expected, (0x28, b"der")])
    assert ProxyTls(1, 1, "TLSv1.2").encode() == b"\x01\0\0\0\x01" + encode_tlvs([(0x21, b"TLSv1.2")])


def test_a_client_certificate_counts_only_where_there_was_one() -> None:
    assert [ProxyTls(flags, 0).verified for flags in (1, 3, 5, 7)] == [False, True, True, True]
    assert not ProxyTls(7, 20).verified


def test_no_tls_is_none_and_unknown_types_are_skipped() -> None:
    assert parse_ssl(bytes(5)) is None
    assert parse_ssl(b"\x01\0\0\0\0" + encode_tlvs([(0x99, b"?"), (0x20, b"")])) == ProxyTls(1, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", "TLS value cut short"),
        (b"\x01\0\0\0", "TLS value cut short"),
        (b"\x01\0\0\0\0\x21", "value cut short"),
        (b"\x01\0\0\0\0" + encode_tlvs([(0x21, b"a"), (0x21, b"a")]), "0x21 twice"),
        (b"\0\0\0\0\0" + encode_tlvs([(0x22, b"\xff")]), "common_name is not UTF-8"),
        (b"\x01\0\0\0\0" + encode_tlvs([(0x22, b"a\nb")]), "common_name holds what cannot be printed"),
    ],
)
def test_a_malformed_tls_value_is_refused(value: bytes, text: str) -> None:
    with pytest.raises(ProxyError, match=text):
        parse_ssl(value)


@given(st.binary(max_size=60))
def test_noise_raises_nothing_but_proxy_errors(noise: bytes) -> None:
    try:
        tls = parse_ssl(noise)
    except ProxyError:
        return
    assert tls is None or noise[0] == tls.flags


def test_text_is_utf8_that_can_be_printed() -> None:
    assert plain_text("bücher.example".encode(), "name") == "bücher.example"
    for bad in (b"\xc3", b"a\0", b"a\x1b[0m", "a\u2028b".encode()):
        with pytest.raises(ProxyError, match="^name "):
            plain_text(bad, "name")


def test_the_types_are_the_registered_ones() -> None:
    assert [int(kind) for kind in Tlv] == [1, 2, 3, 4, 5, 0x20, 0x30]
