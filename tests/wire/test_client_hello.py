"""ClientHellos: real ones of two TLS libraries, hand-built ones, and everything that is not one."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from wsgate.wire.client_hello import (
    MAX_HELLO,
    MAX_WIRE,
    ClientHello,
    ClientHelloReader,
    HelloError,
    NotTls,
)

TLS12, TLS13 = 0x0303, 0x0304
SUITES = b"\x13\x01"


def hello_of_ssl(name: str | None, alpn: Sequence[str] = (), highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """The bytes with which Python's ssl module opens a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = highest
    if alpn:
        context.set_alpn_protocols(list(alpn))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def hello_of_pyopenssl(name: bytes | None, alpn: Sequence[bytes] = (), record: int = 16384) -> bytes:
    """The bytes with which pyOpenSSL opens a connection; its OpenSSL offers post-quantum keys."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if alpn:
        context.set_alpn_protos(list(alpn))
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    if name is not None:
        connection.set_tlsext_host_name(name)
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return records(handshake_of(connection.bio_read(65536)), record)


def records(message: bytes, size: int = 16384) -> bytes:
    """The handshake ``message`` in records of ``size`` bytes."""
    return b"".join(
        b"\x16\x03\x01" + len(message[at : at + size]).to_bytes(2, "big") + message[at : at + size]
        for at in range(0, len(message), size)
    )


def handshake_of(wire: bytes) -> bytes:
    """The handshake message in ``wire``, which holds nothing else."""
    message = b""
    while wire:
        end = 5 + int.from_bytes(wire[3:5], "big")
        message, wire = message + wire[5:end], wire[end:]
    return message


def vector(width: int, *values: bytes) -> bytes:
    joined = b"".join(values)
    return len(joined).to_bytes(width, "big") + joined


def extension(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, value)


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def sni(name: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, bytes([kind]) + vector(2, name)))


def body(*extensions: bytes, version: int = TLS12, session: bytes = b"", ciphers: bytes = SUITES) -> bytes:
    block = vector(2, *extensions) if extensions else b""
    return numbers(version) + bytes(32) + vector(1, session) + vector(2, ciphers) + vector(1, b"\0") + block


def wire(content: bytes, record: int = 16384) -> bytes:
    """``content`` as a ClientHello message in records."""
    return records(b"\x01" + vector(3, content), record)


def read(data: bytes) -> ClientHello | NotTls | None:
    """Read whole, as a view, byte by byte and with a tail; the answers must agree."""
    whole = ClientHelloReader().feed(data)
    assert ClientHelloReader().feed(memoryview(data)) == whole
    if whole is not None:
        assert ClientHelloReader().feed(data + b"\x16\x03\x01 and more") == whole
    slow, answer = ClientHelloReader(), None
    for at in range(len(data)):
        answer = slow.feed(data[at : at + 1])
        assert answer == whole or (answer is None and at + 1 < len(data))
    assert answer == whole
    return whole


def refused(data: bytes) -> str:
    """The text of the error, which must be the same whole, with a tail and byte by byte."""
    with pytest.raises(HelloError) as whole:
        ClientHelloReader().feed(data)
    with pytest.raises(HelloError) as longer:
        ClientHelloReader().feed(data + b"\x16\x03\x01 and more")
    assert str(longer.value) == str(whole.value)
    slow = ClientHelloReader()
    with pytest.raises(HelloError) as bytewise:
        for at in range(len(data)):
            assert slow.feed(data[at : at + 1]) is None
    assert str(bytewise.value) == str(whole.value)
    return str(whole.value)


@pytest.mark.parametrize("record", [1, 7, 100, 16384])
def test_a_hello_of_pythons_ssl_is_read_in_any_records(record: int) -> None:
    hello = read(records(handshake_of(hello_of_ssl("Chat.Example.org", ["http/1.1", "h2"])), record))
    assert isinstance(hello, ClientHello)
    assert hello.server_name == "chat.example.org"
    assert hello.alpn == (b"http/1.1", b"h2")
    assert hello.versions == (TLS13, TLS12)
    assert {0x0804, 0x0403} <= set(hello.signature_algorithms)


@pytest.mark.parametrize("record", [1, 64, 16384])
def test_a_hello_of_pyopenssl_is_read_in_any_records(record: int) -> None:
    hello = read(hello_of_pyopenssl(b"example.net", [b"acme-tls/1"], record))
    assert isinstance(hello, ClientHello)
    assert (hello.server_name, hello.alpn, hello.versions[0]) == ("example.net", (b"acme-tls/1",), TLS13)


def test_a_hello_without_name_and_protocols_leaves_them_empty() -> None:
    for data in (hello_of_ssl(None), hello_of_pyopenssl(None)):
        hello = read(data)
        assert isinstance(hello, ClientHello)
        assert (hello.server_name, hello.alpn) == (None, ())


def test_a_hello_of_tls_1_2_says_its_one_version() -> None:
    hello = read(hello_of_ssl("a.example", highest=ssl.TLSVersion.TLSv1_2))
    assert isinstance(hello, ClientHello)
    assert hello.versions == (TLS12,)


def test_suites_are_told_of_clients_without_tls_1_3_alone() -> None:
    """Only those of TLS 1.2 say which kind of key a client can do with."""
    suites = numbers(0xC02F, 0x4A4A, 0xC030)
    old = read(wire(body(sni(b"a.example"), ciphers=suites, session=bytes(32))))
    new = read(wire(body(extension(43, vector(1, numbers(TLS12, TLS13))), ciphers=suites)))
    assert old == ClientHello("a.example", versions=(TLS12,), suites=suites)
    assert new == ClientHello(versions=(TLS12, TLS13))


def test_a_hello_without_extensions_is_legal() -> None:
    assert read(wire(body(version=0x0301))) == ClientHello(versions=(0x0301,), suites=SUITES)
    assert read(wire(body() + b"\0\0")) == ClientHello(versions=(TLS12,), suites=SUITES)


def test_placeholders_are_left_out_and_unknown_extensions_skipped() -> None:
    hello = read(
        wire(
            body(
                extension(0x1A1A, b""),
                extension(0xFE0D, bytes(100)),
                sni(b"a.example"),
                extension(16, vector(2, vector(1, b"\x3a\x3a"), vector(1, b"h2"), vector(1, b"\x3a\x4a"))),
                extension(43, vector(1, numbers(0x7A7A, TLS13, 0x0A1A, 0x1A0A))),
                extension(13, vector(2, numbers(0xFAFA, 0x0403))),
                extension(0xDADA, b"\0"),
                session=bytes(32),
                ciphers=numbers(0x4A4A, 0x1301),
            )
        )
    )
    assert hello == ClientHello("a.example", (b"h2", b"\x3a\x4a"), (TLS13, 0x0A1A, 0x1A0A), (0x0403,))


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"localhost", "localhost"),
        (b"WWW.Example.ORG", "www.example.org"),
        (b"example.org.", "example.org"),
        (b"xn--bcher-kva.example", "xn--bcher-kva.example"),
        (b"my_host.example", "my_host.example"),
        (b"a" * 63 + b".b", "a" * 63 + ".b"),
        (b".".join([b"a" * 49] * 5) + b".bcd", ".".join(["a" * 49] * 5) + ".bcd"),
        (b"192.0.2.7", None),
        (b"192.0.2.7.", None),
        (b"192.0.2.777", "192.0.2.777"),
    ],
)
def test_a_host_name_comes_in_lower_case_and_an_address_is_no_name(sent: bytes, name: str | None) -> None:
    assert read(wire(body(sni(sent)))) == ClientHello(name, versions=(TLS12,), suites=SUITES)


@pytest.mark.parametrize(
    "name",
    [
        b'a"\n{"x":1}',
        b"a b",
        b"a..b",
        b".a",
        b".",
        b"a\0b",
        b"b\xc3\xbccher.example",
        b"[::1]",
        b"2001:db8::1",
        b"a" * 64 + b".b",
        b".".join([b"a" * 49] * 5) + b".bcde",
        b"a" * 300,
        b"a/b",
        b"*.example.org",
    ],
)
def test_what_is_no_host_name_is_refused(name: bytes) -> None:
    assert refused(wire(body(sni(name)))) == "server_name is not a host name"


@pytest.mark.parametrize(
    "first",
    [
        b"G",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x2e\x01\x03\x01",
        b"\x16\x02\x00",
        b"\x15\x03\x01",
        b"SSH-2.0-x\r\n",
        b"\0",
    ],
)
def test_other_protocols_are_not_tls_at_once(first: bytes) -> None:
    assert read(first[:2]) == NotTls()
    assert ClientHelloReader().feed(first) == NotTls()


def test_the_answer_stays_the_same() -> None:
    hello, other = ClientHelloReader(), ClientHelloReader()
    assert hello.feed(b"") is None
    answer = hello.feed(wire(body(sni(b"a.example"))))
    assert hello.feed(b"") is answer is hello.feed(b"\xff" * 100)
    assert other.feed(b"x") == other.feed(wire(body())) == NotTls()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x16\x03\x01\0\0", "TLS record of 0 bytes"),
        (b"\x16\x03\x01\x40\x01", "TLS record of 16385 bytes"),
        (b"\x16\x03\x01\0\x04\x02\0\0\0", "handshake message 2 instead of a ClientHello"),
        (b"\x16\x03\x01\0\x04\x01\0\x40\x01", "ClientHello of 16385 bytes"),
        (b"\x16\x03\x01\0\x04\x01\xff\xff\xff", "ClientHello of 16777215 bytes"),
        (b"\x16\x03\x01\0\x02\x01\0\x15\x03\x01\0\x02\x01\0", "another record inside"),
        (b"\x16\x03\x01\0\x02\x01\0\x16\x02\x01\0\x02\0\0", "another record inside"),
        (records(b"\x01" + vector(3, body(extension(99, bytes(8000)))), 1)[: MAX_WIRE + 6], "too many records"),
        (wire(b""), "ClientHello cut short"),
        (wire(body()[:33]), "ClientHello cut short"),
        (wire(body()[:-1]), "ClientHello cut short"),
        (wire(body(session=bytes(33))), "ClientHello with a length of 33"),
        (wire(body(ciphers=b"\x13")), "ClientHello with a length of 1"),
        (wire(body(sni(b"a")) + b"\0"), "ClientHello with bytes behind its end"),
        (wire(body() + b"\0\x03\0\0\0"), "extensions cut short"),
        (wire(body() + vector(2, b"\0\0\0\x05a")), "extensions cut short"),
        (wire(body(extension(5, b""), extension(5, b""))), "extension 5 twice"),
        (wire(body(sni(b"a"), sni(b"b"))), "extension 0 twice"),
        (wire(body(extension(0, b""))), "server_name cut short"),
        (wire(body(extension(0, b"\0\0"))), "server_name with a length of 0"),
        (wire(body(sni(b""))), "server_name with a length of 0"),
        (wire(body(sni(b"a", kind=1))), "server_name of an unknown kind"),
        (wire(body(extension(0, vector(2, b"\0\0\x01a\0\0\x01b")))), "server_name with bytes behind its end"),
        (wire(body(extension(0, vector(2, b"\0\0\x01a") + b"x"))), "server_name with bytes behind its end"),
        (wire(body(extension(16, b"\0\0"))), "ALPN with a length of 0"),
        (wire(body(extension(16, vector(2, b"\0\0")))), "ALPN with a length of 0"),
        (wire(body(extension(16, vector(2, b"\x03h2")))), "ALPN cut short"),
        (wire(body(extension(16, vector(2, b"\x02h2") + b"x"))), "ALPN with bytes behind its end"),
        (wire(body(extension(43, b"\0"))), "supported_versions with a length of 0"),
        (wire(body(extension(43, b"\x03\x03\x04\x03"))), "supported_versions of an odd length"),
        (wire(body(extension(43, b"\x02\x03\x04\x03"))), "supported_versions with bytes behind its end"),
        (wire(body(extension(13, b"\0\x04\x04\x03"))), "signature_algorithms cut short"),
        (wire(body(extension(13, b"\0\x03\x04\x03\x08"))), "signature_algorithms of an odd length"),
    ],
)
def test_a_malformed_hello_is_refused(data: bytes, text: str) -> None:
    assert text in refused(data)


def test_the_greatest_hello_is_read() -> None:
    room = MAX_HELLO - len(body(sni(b"a.example"), extension(21, b"")))
    hello = wire(body(sni(b"a.example"), extension(21, bytes(room))), 4096)
    assert ClientHelloReader().feed(hello) == ClientHello("a.example", versions=(TLS12,), suites=SUITES)
    assert (
        refused(wire(body(sni(b"a.example"), extension(21, bytes(room + 1)))))
        == f"ClientHello of {MAX_HELLO + 1} bytes"
    )


def test_what_follows_the_hello_in_its_record_is_left_alone() -> None:
    message = b"\x01" + vector(3, body(sni(b"a.example")))
    assert ClientHelloReader().feed(records(message + b"\x02 and so on")) == ClientHello(
        "a.example", versions=(TLS12,), suites=SUITES
    )


REAL = hello_of_ssl("chat.example.org", ["http/1.1"])


@settings(max_examples=150, deadline=None)
@given(record=st.integers(1, 600), cuts=st.lists(st.integers(0, 5000), max_size=8))
def test_any_split_gives_the_same_answer_at_the_last_byte(record: int, cuts: list[int]) -> None:
    data = records(handshake_of(REAL), record)
    reader, places = ClientHelloReader(), sorted(cut % len(data) for cut in cuts)
    for start, end in zip([0, *places], places, strict=False):
        assert reader.feed(data[start:end]) is None
    last = places[-1] if places else 0
    assert reader.feed(data[last:-1]) is None
    assert reader.feed(data[-1:]) == ClientHelloReader().feed(REAL)


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 255)), max_size=4),
    length=st.integers(0, len(REAL)),
)
def test_no_bytes_raise_anything_but_hello_errors(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(REAL)
    for place, value in changes:
        data[place] = value
    try:
        answer = read(bytes(data[: length or None]))
    except HelloError:
        refused(bytes(data[: length or None]))
    else:
        assert answer is None or isinstance(answer, ClientHello | NotTls)


@given(st.binary(max_size=100))
def test_noise_is_judged_without_another_error(noise: bytes) -> None:
    try:
        read(b"\x16\x03\x01\0\x40\x01" + noise)
    except HelloError as error:
        assert str(error)
