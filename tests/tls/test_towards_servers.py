"""Which servers are trusted, which are not and why, and how sessions towards them are used again."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509

from tests.doubles.certificates import CertificateAuthority, IssuedCertificate
from tests.tls.handshakes import Handshake, OpenSslEnd, StdlibEnd, say, shake
from wsgate.config.model import UpstreamTls
from wsgate.errors import WsgateError
from wsgate.tls import towards_servers
from wsgate.tls.certificates import CertificateError
from wsgate.tls.openssl import session_reused
from wsgate.tls.self_signed import self_signed
from wsgate.tls.towards_servers import ServerConnection, UpstreamTlsContext
from wsgate.tls.verification import PeerCertificateError

HOST = "server.example"


def options(ca: Path | None = None, *, verify: bool = True, server_name: str = "") -> UpstreamTls:
    return UpstreamTls(verify, ca, server_name)


def stock_server(
    issued: IssuedCertificate, *, alpn: tuple[str, ...] = (), version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.chain_path, issued.key_path)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Meeting:
    """Our connection towards a stock server, its handshake tried."""

    def __init__(self, trust: UpstreamTlsContext, server: ssl.SSLContext, host: str = HOST, key: str = "") -> None:
        self.connection: ServerConnection = trust.connection(host, server=key)
        self.ours = OpenSslEnd(self.connection)
        self.theirs = StdlibEnd(server, server_side=True)
        self.result: Handshake = shake(self.ours, self.theirs)


def refused(trust: UpstreamTlsContext, issued: IssuedCertificate, host: str = HOST) -> tuple[str, str]:
    """The handshake fails: what we say, and what the server hears."""
    meeting = Meeting(trust, stock_server(issued), host)
    assert isinstance(meeting.result.client_error, PeerCertificateError)
    return str(meeting.result.client_error), str(meeting.result.server_error).lower().replace("_", " ")


def misnamed(trust: UpstreamTlsContext, issued: IssuedCertificate, host: str = HOST) -> str:
    """The handshake is fine and the name is not."""
    meeting = Meeting(trust, stock_server(issued), host)
    assert meeting.result.done
    with pytest.raises(PeerCertificateError) as caught:
        trust.check_peer(meeting.connection)
    return str(caught.value)


def accepted(trust: UpstreamTlsContext, issued: IssuedCertificate, host: str = HOST) -> Meeting:
    meeting = Meeting(trust, stock_server(issued), host)
    assert meeting.result.done
    trust.check_peer(meeting.connection)
    return meeting


# Whom we trust


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (HOST, HOST),
        ("Server.Example", "SERVER.example"),
        (("other.example", HOST), HOST),
        ("*.server.example", "a.server.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8:0::7"),
    ],
)
def test_names_and_addresses_that_match(
    authority: CertificateAuthority, names: str | tuple[str, ...], host: str
) -> None:
    meeting = accepted(UpstreamTlsContext(options(authority.ca_path)), authority.issue(names), host)
    assert say(meeting.ours, meeting.theirs, b"request") == b"request"
    assert say(meeting.theirs, meeting.ours, b"answer") == b"answer"


def test_a_chain_with_an_intermediate(authority: CertificateAuthority) -> None:
    accepted(UpstreamTlsContext(options(authority.ca_path)), authority.intermediate().issue(HOST))


def test_the_override_is_the_name_that_counts(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path, server_name="internal.example"))
    accepted(trust, authority.issue("internal.example"), "10.0.0.1")
    assert "not for internal.example but for 'server.example'" in misnamed(trust, authority.issue(HOST), HOST)


def test_rsa_and_both_versions(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        meeting = Meeting(trust, stock_server(authority.issue(HOST, key="rsa"), version=version))
        assert meeting.result.done
        trust.check_peer(meeting.connection)


def test_what_is_in_the_operators_file_is_trusted_root_or_not(authority: CertificateAuthority, tmp_path: Path) -> None:
    """An issuing CA without its root, or the server's certificate itself."""
    intermediate = authority.intermediate()
    issued = intermediate.issue(HOST)
    for text in (issued.cert_path.read_bytes(), issued.chain_path.read_bytes().split(b"-----\n-----")[-1]):
        pinned = tmp_path / "pinned.pem"
        pinned.write_bytes(text if text.startswith(b"-----") else b"-----" + text)
        accepted(UpstreamTlsContext(options(pinned)), issued)


def test_the_systems_trust_does_not_know_our_authority(authority: CertificateAuthority) -> None:
    text, alert = refused(UpstreamTlsContext(options()), authority.issue(HOST))
    assert text == "the server's certificate is not trusted: no trusted CA signed it"
    assert "unknown ca" in alert


def test_the_systems_trust_is_loaded(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_path))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    accepted(UpstreamTlsContext(options()), authority.issue(HOST))


# Whom we do not trust


def test_an_unknown_authority(authority: CertificateAuthority, tmp_path: Path) -> None:
    stranger = CertificateAuthority(tmp_path / "stranger")
    text, alert = refused(UpstreamTlsContext(options(authority.ca_path)), stranger.issue(HOST))
    assert text == "the server's certificate is not trusted: no trusted CA signed it"
    assert "unknown ca" in alert


def test_a_self_signed_certificate(authority: CertificateAuthority, tmp_path: Path) -> None:
    paths = self_signed(tmp_path, (HOST,), datetime.now(UTC))
    issued = IssuedCertificate(paths.certificate, paths.key, paths.certificate)
    text, _alert = refused(UpstreamTlsContext(options(authority.ca_path)), issued)
    assert text == "the server's certificate is not trusted: it is self-signed and not trusted itself"
    accepted(UpstreamTlsContext(options(paths.certificate)), issued)


def test_an_expired_certificate(authority: CertificateAuthority) -> None:
    text, alert = refused(UpstreamTlsContext(options(authority.ca_path)), authority.issue(HOST, expired=True))
    assert text == "the server's certificate is not trusted: it has expired"
    assert "certificate expired" in alert


def test_a_certificate_for_clients(authority: CertificateAuthority) -> None:
    text, _alert = refused(UpstreamTlsContext(options(authority.ca_path)), authority.issue(HOST, client=True))
    assert text == "the server's certificate is not trusted: it was not made for servers"


def test_a_leaf_that_plays_authority(authority: CertificateAuthority, tmp_path: Path) -> None:
    """A certificate signed with a leaf's key: the leaf may be for another name of the same CA."""
    forger = CertificateAuthority(tmp_path / "forger", name="server.example", parent=authority, genuine=False)
    text, _alert = refused(UpstreamTlsContext(options(authority.ca_path)), forger.issue(HOST))
    assert text.startswith("a CA certificate of the server ('CN=server.example') is not trusted: ")


def test_a_wrong_name(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    text = misnamed(trust, authority.issue(("wrong.example", "192.0.2.1")))
    assert text == "the server's certificate is not for server.example but for 'wrong.example', '192.0.2.1'"


@pytest.mark.parametrize(
    ("names", "host"),
    [
        ("*.example", "a.server.example"),
        ("*.server.example", "server.example"),
        ("192.0.2.8", "192.0.2.7"),
        ("server.example.evil.example", HOST),
        ("not-server.example", HOST),
    ],
)
def test_names_that_only_resemble(authority: CertificateAuthority, names: str, host: str) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    meeting = Meeting(trust, stock_server(authority.issue(names)), host)
    assert meeting.result.done
    with pytest.raises(PeerCertificateError):
        trust.check_peer(meeting.connection)


def test_an_address_written_as_a_name_is_no_address(authority: CertificateAuthority) -> None:
    issued = authority.issue([x509.DNSName("192.0.2.7")])
    text = misnamed(UpstreamTlsContext(options(authority.ca_path)), issued, "192.0.2.7")
    assert text.startswith("the server's certificate has unusable names: ")


def test_a_nul_in_a_name_hides_nothing(authority: CertificateAuthority) -> None:
    """CVE-2009-2408 and its like: server.example, NUL, .evil.example."""
    issued = authority.issue([x509.DNSName("server.example\0.evil.example")])
    text = misnamed(UpstreamTlsContext(options(authority.ca_path)), issued)
    assert text.startswith("the server's certificate has unusable names: ")
    assert "\0" not in text


def test_the_common_name_counts_for_nothing(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    text = misnamed(trust, authority.issue(()), "not-a-name.invalid")
    assert text.startswith("the server's certificate has unusable names: ")


def test_what_a_server_writes_cannot_break_a_line_of_a_log(authority: CertificateAuthority) -> None:
    issued = authority.issue([x509.DNSName("evil\nforged: line.example"), x509.DNSName("b.example")])
    assert "\n" not in misnamed(UpstreamTlsContext(options(authority.ca_path)), issued)


def test_errors_are_both_the_gateways_and_openssls() -> None:
    assert issubclass(PeerCertificateError, WsgateError)
    assert issubclass(PeerCertificateError, SSL.Error)


def test_a_peer_without_certificate_is_not_trusted(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    with pytest.raises(PeerCertificateError, match="showed no certificate"):
        trust.check_peer(trust.connection(HOST))


def test_a_server_name_that_is_no_name(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path, server_name="two words"))
    text = misnamed(trust, authority.issue(HOST))
    assert text == "the server's certificate cannot be compared with 'two words': Invalid DNS-ID."


def test_a_certificate_that_only_openssl_can_read_is_refused_all_the_same(
    authority: CertificateAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the error needs another parser than the verification does; its failure must not be the error."""

    def unreadable(_certificate: X509) -> x509.Certificate:
        raise ValueError("error parsing asn1 value")

    forger = CertificateAuthority(tmp_path / "forger", parent=authority, genuine=False)
    trust, server = UpstreamTlsContext(options(authority.ca_path)), stock_server(forger.issue(HOST))
    monkeypatch.setattr(X509, "to_cryptography", unreadable)
    error = Meeting(trust, server).result.client_error
    assert isinstance(error, PeerCertificateError)
    assert str(error).startswith("a CA certificate of the server (unreadable) is not trusted: ")


# Without verification


def test_verify_off_accepts_everybody(authority: CertificateAuthority, tmp_path: Path) -> None:
    trust = UpstreamTlsContext(options(verify=False))
    stranger = CertificateAuthority(tmp_path / "stranger")
    for issued in (stranger.issue(HOST, expired=True), authority.issue("wrong.example")):
        accepted(trust, issued)


def test_a_unix_socket_needs_a_name_to_verify(authority: CertificateAuthority) -> None:
    with pytest.raises(PeerCertificateError, match="set server_name"):
        UpstreamTlsContext(options(authority.ca_path)).connection("")
    accepted(UpstreamTlsContext(options(authority.ca_path, server_name=HOST)), authority.issue(HOST), "")
    accepted(UpstreamTlsContext(options(verify=False)), authority.issue(HOST), "")


def test_a_name_that_is_none(authority: CertificateAuthority) -> None:
    with pytest.raises(PeerCertificateError, match="is no host name"):
        UpstreamTlsContext(options(authority.ca_path)).connection("-ü-.example")


# Files


def test_a_file_that_is_no_ca(authority: CertificateAuthority, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(CertificateError, match=f"^{missing}: cannot be read: "):
        UpstreamTlsContext(options(missing))
    with pytest.raises(CertificateError, match="expected CA certificates in PEM format"):
        UpstreamTlsContext(options(authority.issue(HOST).key_path))


# What the server is told


def hello_name(trust: UpstreamTlsContext, issued: IssuedCertificate, host: str) -> str | None:
    """The server name of our ClientHello, as a stock server sees it."""
    seen: list[str | None] = []
    server = stock_server(issued)
    server.sni_callback = lambda _socket, name, _context: seen.append(name)
    accepted_by = Meeting(trust, server, host)
    assert accepted_by.result.done
    return seen[0] if seen else None


def test_names_are_told_and_addresses_are_not(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    assert hello_name(trust, authority.issue(HOST), HOST) == HOST
    assert hello_name(trust, authority.issue("192.0.2.7"), "192.0.2.7") is None
    assert hello_name(trust, authority.issue("2001:db8::7"), "2001:db8::7") is None
    override = UpstreamTlsContext(options(authority.ca_path, server_name=HOST))
    assert hello_name(override, authority.issue(HOST), "192.0.2.7") == HOST


@pytest.mark.parametrize(("offered", "chosen"), [((b"http/1.1",), b"http/1.1"), ((), b"")])
def test_alpn_is_offered_for_http_alone(
    authority: CertificateAuthority, offered: tuple[bytes, ...], chosen: bytes
) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path), alpn=offered)
    meeting = Meeting(trust, stock_server(authority.issue(HOST), alpn=("h2", "http/1.1")))
    assert meeting.result.done
    assert meeting.connection.get_alpn_proto_negotiated() == chosen


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_servers_are_refused(authority: CertificateAuthority) -> None:
    server = stock_server(authority.issue(HOST), version=ssl.TLSVersion.TLSv1_1)
    server.set_ciphers("DEFAULT@SECLEVEL=0")
    assert not Meeting(UpstreamTlsContext(options(authority.ca_path)), server).result.done


# Sessions


def visit(trust: UpstreamTlsContext, server: ssl.SSLContext, host: str = HOST, key: str = "") -> bool:
    """One connection as a leg makes it; whether it resumed."""
    meeting = Meeting(trust, server, host, key)
    assert meeting.result.done
    trust.check_peer(meeting.connection)
    assert say(meeting.theirs, meeting.ours, b"answer") == b"answer"
    trust.keep_session(meeting.connection)
    meeting.connection.shutdown()
    return session_reused(meeting.connection)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_second_connection_resumes_and_so_does_the_third(
    authority: CertificateAuthority, version: ssl.TLSVersion
) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    server = stock_server(authority.issue(HOST), version=version)
    assert [visit(trust, server) for _ in range(3)] == [False, True, True]


def test_a_session_kept_at_the_end_resumes_too(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    server = stock_server(authority.issue(HOST))
    meeting = Meeting(trust, server)
    say(meeting.theirs, meeting.ours, b"answer")
    meeting.connection.shutdown()
    trust.keep_session(meeting.connection)
    del meeting
    assert visit(trust, server)


def test_a_connection_that_was_dropped_spoils_only_its_session(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    server = stock_server(authority.issue(HOST))
    meeting = Meeting(trust, server)
    say(meeting.theirs, meeting.ours, b"answer")
    trust.keep_session(meeting.connection)
    del meeting
    assert [visit(trust, server) for _ in range(2)] == [False, True]


def test_each_server_has_its_own_session(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    first, second = stock_server(authority.issue(HOST)), stock_server(authority.issue(HOST))
    assert [visit(trust, first, key="a:1"), visit(trust, second, key="a:2")] == [False, False]
    assert [visit(trust, first, key="a:1"), visit(trust, second, key="a:2")] == [True, True]


def test_a_server_that_forgot_gets_a_full_handshake(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    issued = authority.issue(HOST)
    assert not visit(trust, stock_server(issued))
    assert not visit(trust, stock_server(issued))


def test_a_resumed_session_is_checked_for_its_name(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    server = stock_server(authority.issue(HOST))
    assert not visit(trust, server)
    meeting = Meeting(trust, server)
    assert session_reused(meeting.connection)
    meeting.connection.expected_name = "another.example"
    with pytest.raises(PeerCertificateError, match="not for another.example but for 'server.example'"):
        trust.check_peer(meeting.connection)


def test_another_context_trusts_anew(authority: CertificateAuthority) -> None:
    """A reload with another CA makes another context, and no session of the old one lets a server in."""
    server = stock_server(authority.issue(HOST))
    assert not visit(UpstreamTlsContext(options(authority.ca_path)), server)
    assert not visit(UpstreamTlsContext(options(authority.ca_path)), server)


def test_nothing_is_kept_of_a_connection_without_session(authority: CertificateAuthority) -> None:
    trust = UpstreamTlsContext(options(authority.ca_path))
    trust.keep_session(trust.connection(HOST))
    assert not visit(trust, stock_server(authority.issue(HOST)))


def test_sessions_are_bounded_and_the_oldest_goes(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(towards_servers, "MAX_SESSIONS", 2)
    trust = UpstreamTlsContext(options(authority.ca_path))
    server = stock_server(authority.issue(HOST))
    assert [visit(trust, server, key=key) for key in "aba"] == [False, False, True]
    # Now b is the oldest.
    assert not visit(trust, server, key="c")
    assert [visit(trust, server, key=key) for key in "acb"] == [True, True, False]
