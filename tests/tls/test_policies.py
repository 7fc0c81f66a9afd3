"""What our contexts speak with stock clients, and what they refuse."""

from __future__ import annotations

import ssl

import pytest
from OpenSSL import SSL

from tests.doubles.certificates import CertificateAuthority, throwaway_key
from tests.tls.handshakes import Handshake, OpenSslEnd, StdlibEnd, openssl_client, say, shake, stdlib_client
from wsgate.tls import openssl, policies
from wsgate.tls.certificates import CertificateChain, CertificateError, load_chain
from wsgate.tls.openssl import session_reused
from wsgate.tls.policies import (
    HTTP_1,
    INTERMEDIATE,
    MODERN,
    POLICIES,
    NoCommonProtocol,
    TlsPolicy,
    reason,
    server_connection,
    server_context,
)

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def chain(authority: CertificateAuthority) -> CertificateChain:
    issued = authority.issue(("localhost", "site.example"))
    return load_chain(issued.chain_path, issued.key_path)


@pytest.fixture(scope="module")
def rsa_chain(authority: CertificateAuthority) -> CertificateChain:
    issued = authority.issue("localhost", key="rsa")
    return load_chain(issued.chain_path, issued.key_path)


def context(
    chain: CertificateChain, policy: TlsPolicy = INTERMEDIATE, alpn: tuple[bytes, ...] = HTTP_1, section: str = "site"
) -> SSL.Context:
    return server_context(chain, policy, section=section, alpn=alpn)


def served(server: SSL.Context, *, tls13: bool = True) -> OpenSslEnd:
    return OpenSslEnd(server_connection(server, tls13=tls13))


def meet(server: SSL.Context, client: ssl.SSLContext) -> tuple[StdlibEnd, OpenSslEnd, Handshake]:
    ours = served(server, tls13=client.maximum_version is not TLS12)
    theirs = StdlibEnd(client, server_name="localhost")
    return theirs, ours, shake(theirs, ours)


# Versions


def test_policies_have_the_names_of_mozillas_presets() -> None:
    assert POLICIES == {"intermediate": INTERMEDIATE, "modern": MODERN}
    assert (INTERMEDIATE.name, MODERN.name) == ("intermediate", "modern")


@pytest.mark.parametrize(
    ("policy", "version", "spoken"),
    [(INTERMEDIATE, TLS12, "TLSv1.2"), (INTERMEDIATE, TLS13, "TLSv1.3"), (MODERN, TLS13, "TLSv1.3")],
)
def test_versions_spoken(chain: CertificateChain, policy: TlsPolicy, version: ssl.TLSVersion, spoken: str) -> None:
    theirs, ours, result = meet(context(chain, policy), stdlib_client(version=version))
    assert result.done
    assert theirs.tls.version() == spoken
    assert say(theirs, ours, b"to the server") == b"to the server"
    assert say(ours, theirs, b"to the client") == b"to the client"


def test_the_best_common_version_is_taken(chain: CertificateChain) -> None:
    theirs, _ours, result = meet(context(chain), stdlib_client())
    assert result.done
    assert theirs.tls.version() == "TLSv1.3"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("policy", "version"),
    [(INTERMEDIATE, ssl.TLSVersion.TLSv1_1), (INTERMEDIATE, ssl.TLSVersion.TLSv1), (MODERN, TLS12)],
)
def test_older_versions_are_refused(chain: CertificateChain, policy: TlsPolicy, version: ssl.TLSVersion) -> None:
    client = stdlib_client(version=version, ciphers="DEFAULT@SECLEVEL=0")
    _theirs, _ours, result = meet(context(chain, policy), client)
    assert not result.done
    assert "alert protocol version" in result.alert


def test_the_whole_chain_is_shown(authority: CertificateAuthority) -> None:
    """A client that knows the root alone needs the certificates between."""
    issued = authority.intermediate().intermediate().issue("localhost")
    full = load_chain(issued.chain_path, issued.key_path)
    assert len(full.issuers) == 2
    assert meet(context(full), stdlib_client(str(authority.ca_path)))[2].done
    alone = load_chain(issued.cert_path, issued.key_path)
    assert not meet(context(alone), stdlib_client(str(authority.ca_path)))[2].done


# Ciphers and groups


@pytest.mark.parametrize("cipher", INTERMEDIATE.ciphers.decode().split(":"))
def test_every_cipher_of_tls_1_2_works(chain: CertificateChain, rsa_chain: CertificateChain, cipher: str) -> None:
    which = chain if "ECDSA" in cipher else rsa_chain
    theirs, _ours, result = meet(context(which), stdlib_client(version=TLS12, ciphers=cipher))
    assert result.done
    used = theirs.tls.cipher()
    assert used is not None
    assert used[0] == cipher


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA"])
def test_no_forward_secrecy_or_no_authenticated_cipher_no_connection(rsa_chain: CertificateChain, cipher: str) -> None:
    _theirs, _ours, result = meet(context(rsa_chain), stdlib_client(version=TLS12, ciphers=cipher))
    assert not result.done
    assert "handshake failure" in result.alert


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ],
)
def test_the_order_is_ours_except_for_clients_that_want_chacha20(
    chain: CertificateChain, offered: str, chosen: str
) -> None:
    client = StdlibEnd(stdlib_client(version=TLS12, ciphers=offered))
    assert shake(client, served(context(chain))).done
    cipher = client.tls.cipher()
    assert cipher is not None
    assert cipher[0] == chosen


@pytest.mark.parametrize("first", [b"TLS_CHACHA20_POLY1305_SHA256", b"TLS_AES_256_GCM_SHA384"])
def test_the_same_order_holds_for_tls_1_3(chain: CertificateChain, first: bytes) -> None:
    ordered = SSL.Context(SSL.TLS_CLIENT_METHOD)
    ordered.set_tls13_ciphersuites(first + b":TLS_AES_128_GCM_SHA256")
    client = openssl_client(ordered)
    assert shake(client, served(context(chain))).done
    chacha = first.startswith(b"TLS_CHACHA20")
    assert client.connection.get_cipher_name() == (first.decode() if chacha else "TLS_AES_128_GCM_SHA256")


def test_the_hybrid_group_is_taken_where_the_client_has_it(chain: CertificateChain) -> None:
    client = openssl_client()
    assert shake(client, served(context(chain))).done
    assert client.connection.get_group_name() == "X25519MLKEM768"


@pytest.mark.parametrize(("curve", "done"), [("prime256v1", True), ("secp384r1", True), ("secp521r1", False)])
def test_groups_are_those_of_the_preset(chain: CertificateChain, curve: str, done: bool) -> None:
    client = stdlib_client(version=TLS13)
    client.set_ecdh_curve(curve)
    _theirs, _ours, result = meet(context(chain), client)
    assert result.done is done


def test_an_openssl_without_hybrid_groups_gets_the_classic_ones(
    chain: CertificateChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_groups = openssl.set_groups

    def old_library(context: SSL.Context, groups: tuple[str, ...]) -> None:
        if "X25519MLKEM768" in groups:
            raise SSL.Error("unknown group")
        set_groups(context, groups)

    monkeypatch.setattr(policies, "set_groups", old_library)
    client = openssl_client()
    assert shake(client, served(context(chain))).done
    assert (client.connection.get_group_name() or "").lower() == "x25519"


# ALPN


@pytest.mark.parametrize(
    ("ours", "offered", "chosen"),
    [
        (HTTP_1, (), None),
        (HTTP_1, ("http/1.1",), "http/1.1"),
        (HTTP_1, ("h2", "http/1.1"), "http/1.1"),
        ((b"acme-tls/1", b"http/1.1"), ("http/1.1", "acme-tls/1"), "acme-tls/1"),
        ((), ("h2",), None),
        ((), (), None),
    ],
)
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_alpn(
    chain: CertificateChain,
    version: ssl.TLSVersion,
    ours: tuple[bytes, ...],
    offered: tuple[str, ...],
    chosen: str | None,
) -> None:
    client = stdlib_client(alpn=offered, version=version)
    theirs, _served, result = meet(context(chain, alpn=ours), client)
    assert result.done
    assert theirs.tls.selected_alpn_protocol() == chosen


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_only_unknown_protocols_get_the_alert_for_it(chain: CertificateChain, version: ssl.TLSVersion) -> None:
    server = context(chain)
    _theirs, _ours, result = meet(server, stdlib_client(alpn=("h2", "spdy/3"), version=version))
    assert "no application protocol" in result.alert
    assert isinstance(result.server_error, NoCommonProtocol)
    assert str(result.server_error).endswith("only h2, spdy/3")
    # What one client provoked is not raised on the next connection.
    _theirs, _ours, result = meet(server, stdlib_client(alpn=("http/1.1",), version=version))
    assert result.done


# Renegotiation, ends, modes


def test_renegotiation_is_refused(chain: CertificateChain) -> None:
    stock = SSL.Context(SSL.TLS_CLIENT_METHOD)
    stock.set_max_proto_version(SSL.TLS1_2_VERSION)
    client, server = openssl_client(stock), served(context(chain), tls13=False)
    assert shake(client, server).done
    client.connection.renegotiate()
    client.step()
    server.feed(client.outgoing())
    assert server.read() == b""
    client.feed(server.outgoing())
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.step()
    assert server.connection.total_renegotiations() == 0


def test_an_end_without_close_notify_is_an_error(chain: CertificateChain) -> None:
    client, server = openssl_client(), served(context(chain))
    assert shake(client, server).done
    server.connection.bio_shutdown()
    with pytest.raises(SSL.SysCallError):
        server.connection.recv(100)


def test_a_write_may_be_partial_and_go_on_from_other_memory(chain: CertificateChain) -> None:
    client, server = openssl_client(), served(context(chain))
    assert shake(client, server).done
    data = bytes(range(256)) * 256
    sent = received = b""
    while len(sent) < len(data):
        count = server.connection.send(bytes(data[len(sent) :]))
        assert 0 < count <= 16384
        sent += data[len(sent) : len(sent) + count]
        client.feed(server.outgoing())
        received += client.read()
    assert received == data


def test_a_used_context_is_frozen(chain: CertificateChain) -> None:
    server = context(chain)
    server_connection(server, tls13=True)
    with pytest.raises(ValueError, match="already been used"):
        server.set_timeout(1)


def test_sessions_are_kept_by_nobody(chain: CertificateChain) -> None:
    assert context(chain).get_session_cache_mode() == SSL.SESS_CACHE_OFF


def test_a_certificate_that_openssl_refuses_names_its_file(chain: CertificateChain) -> None:
    mixed = CertificateChain(chain.leaf, chain.issuers, throwaway_key("ec"), "/etc/site.pem")
    with pytest.raises(CertificateError, match=r"^/etc/site\.pem: OpenSSL refuses .*mismatch"):
        context(mixed)


# Sessions


def resume(
    first: SSL.Context, second: SSL.Context, version: int, *, tls13: bool
) -> tuple[OpenSslEnd, OpenSslEnd, SSL.Session]:
    """Shake hands with ``first``, take its ticket, and shake hands with ``second`` showing it."""
    stock = SSL.Context(SSL.TLS_CLIENT_METHOD)
    stock.set_max_proto_version(version)
    client, server = openssl_client(stock), served(first, tls13=tls13)
    assert shake(client, server).done
    assert say(server, client, b"hello") == b"hello"
    session = client.connection.get_session()
    assert session is not None
    client.connection.shutdown()
    again, other = openssl_client(stock, session), served(second, tls13=tls13)
    assert shake(again, other).done
    return again, other, session


def test_tls_1_3_resumes(chain: CertificateChain) -> None:
    server = context(chain)
    client, ours, _session = resume(server, server, SSL.TLS1_3_VERSION, tls13=True)
    assert session_reused(client.connection)
    assert session_reused(ours.connection)
    assert say(client, ours, b"resumed") == b"resumed"


def test_tls_1_2_gets_no_ticket_and_resumes_nothing(chain: CertificateChain) -> None:
    server = context(chain)
    client, ours, _session = resume(server, server, SSL.TLS1_2_VERSION, tls13=False)
    assert not session_reused(client.connection)
    assert not session_reused(ours.connection)


def test_a_ticket_resumes_in_no_other_context(chain: CertificateChain) -> None:
    """Neither another section's context takes it nor the same section's after a reload: ticket keys are their own."""
    for section in ("other", "site"):
        client, ours, _session = resume(context(chain), context(chain, section=section), SSL.TLS1_3_VERSION, tls13=True)
        assert not session_reused(client.connection)
        assert not session_reused(ours.connection)


def test_a_client_that_offers_tls_1_3_never_ends_up_with_a_ticket_of_1_2(chain: CertificateChain) -> None:
    """``tls13=True`` leaves tickets on, which is safe because such a hello is never answered with TLS 1.2."""
    theirs, _ours, result = meet(context(chain), stdlib_client())
    assert result.done
    assert theirs.tls.version() == "TLSv1.3"


# Error texts


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SSL.Error([("SSL routines", "", "wrong version number")]), "wrong version number"),
        (SSL.Error([("a", "", "one"), ("b", "", "two")]), "one, two"),
        (SSL.Error([]), "no reason given"),
        (SSL.Error("plain text"), "plain text"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "Unexpected EOF"),
        (SSL.ZeroReturnError(), "ZeroReturnError"),
    ],
)
def test_the_reason_of_an_error(error: SSL.Error, text: str) -> None:
    assert reason(error) == text
