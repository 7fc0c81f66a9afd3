"""From sections to contexts that shake hands."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
from OpenSSL import SSL

from tests.doubles.certificates import CertificateAuthority, IssuedCertificate
from tests.tls.handshakes import OpenSslEnd, StdlibEnd, openssl_client, say, shake, stdlib_client
from wsgate.config.model import Address, Listener, Mode, TlsOptions
from wsgate.tls.certificates import CertificateError
from wsgate.tls.openssl import session_reused
from wsgate.tls.policies import server_connection
from wsgate.tls.sections import build_server_identities, load_section, section_warnings
from wsgate.tls.server_names import UNRECOGNIZED_NAME, ServerNames

NOW = datetime.now(UTC)
ECDSA_ONLY, RSA_ONLY = (0x0403,), (0x0804, 0x0401)


def listener(*tls: str, mode: Mode = Mode.HTTP) -> Listener:
    return Listener(
        name="secure",
        bind=(Address("127.0.0.1", 8443),),
        mode=mode,
        tls=tls,
        upstream="",
        backlog=1024,
        half_close=True,
        idle_timeout=0,
        tls_timeout=10,
        head_timeout=10,
        body_timeout=10,
        keepalive_timeout=10,
        keepalive_requests=1000,
        max_head=16384,
        max_fields=100,
        max_connections=0,
        trusted_proxies=(ip_network("127.0.0.0/8"),),
        unix_mode=0o600,
    )


def section(name: str, issued: IssuedCertificate, *names: str, policy: str = "intermediate") -> TlsOptions:
    return TlsOptions(name, str(issued.chain_path), issued.key_path, names, policy)


def build(tmp_path: Path, *sections: TlsOptions, mode: Mode = Mode.HTTP) -> ServerNames:
    table = {options.name: options for options in sections}
    return build_server_identities(listener(*table, mode=mode), table, tmp_path, NOW)


def serve(names: ServerNames, name: str | None, algorithms: tuple[int, ...]) -> OpenSslEnd:
    """What accepting does: choose by the hello, then make the connection."""
    identity = names.choose(name, algorithms)
    assert identity is not None
    return OpenSslEnd(server_connection(identity.context, tls13=True))


@pytest.mark.parametrize("name", ["first.example", "second.example", "any.wild.example"])
def test_each_name_gets_its_certificate(authority: CertificateAuthority, tmp_path: Path, name: str) -> None:
    names = build(
        tmp_path,
        section("first", authority.issue("first.example")),
        section("second", authority.issue("second.example")),
        section("wild", authority.issue("*.wild.example")),
    )
    client = StdlibEnd(stdlib_client(str(authority.ca_path)), server_name=name)
    assert shake(client, serve(names, name, ECDSA_ONLY)).done


def test_an_unknown_name_gets_the_first_certificate_which_its_client_refuses(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    names = build(tmp_path, section("first", authority.issue("first.example")))
    client = StdlibEnd(stdlib_client(str(authority.ca_path)), server_name="stranger.example")
    result = shake(client, serve(names, "stranger.example", ECDSA_ONLY))
    assert isinstance(result.client_error, ssl.SSLCertVerificationError)


def test_names_of_a_section_replace_those_of_its_certificate(authority: CertificateAuthority, tmp_path: Path) -> None:
    issued = authority.issue(("a.example", "b.example"))
    names = build(tmp_path, section("first", authority.issue("z.example")), section("ab", issued, "B.example"))
    assert [identity.names for identity in names.identities] == [("z.example",), ("b.example",)]
    found = names.choose("a.example", ECDSA_ONLY)
    assert found is not None
    assert found.section == "first"


@pytest.mark.parametrize(
    ("algorithms", "offered", "kind"),
    [(ECDSA_ONLY, "ECDSA+SHA256", "ec"), (RSA_ONLY, "RSA+SHA256:RSA-PSS+SHA256", "rsa")],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_rsa_and_ecdsa_for_one_name(
    authority: CertificateAuthority,
    tmp_path: Path,
    version: ssl.TLSVersion,
    algorithms: tuple[int, ...],
    offered: str,
    kind: str,
) -> None:
    """A client that cannot verify the one kind is served with the other."""
    from OpenSSL._util import lib

    names = build(
        tmp_path,
        section("rsa", authority.issue("site.example", key="rsa")),
        section("ecdsa", authority.issue("site.example")),
    )
    stock = SSL.Context(SSL.TLS_CLIENT_METHOD)
    stock.set_min_proto_version(version)
    stock.set_max_proto_version(version)
    assert lib.SSL_CTX_set1_sigalgs_list(stock._context, offered.encode()) == 1
    client = openssl_client(stock)
    assert shake(client, serve(names, "site.example", algorithms)).done
    certificate = client.connection.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    assert type(certificate.public_key()).__name__.lower().startswith(kind)
    # The other section's context fails this client: the choice is what let it in.
    other = RSA_ONLY if algorithms is ECDSA_ONLY else ECDSA_ONLY
    assert not shake(openssl_client(stock), serve(names, "site.example", other)).done


@pytest.mark.parametrize("asked", ["optional", "require"])
def test_who_chooses_the_kind_of_key_does_not_choose_what_is_asked_of_clients(
    authority: CertificateAuthority, tmp_path: Path, asked: str
) -> None:
    """A client without ECDSA would come in without the certificate that the other section asks for."""
    ecdsa = section("ecdsa", authority.issue(("www.site.example", "site.example")))
    guarded = replace(ecdsa, client_auth=asked, client_ca=authority.ca_path)
    rsa = section("rsa", authority.issue("site.example", key="rsa"))
    for pair in ((guarded, rsa), (rsa, guarded)):
        with pytest.raises(CertificateError, match=r"are both for site\.example, .* client_auth") as caught:
            build(tmp_path, *pair)
        assert str(caught.value).startswith(f"{pair[1].certificate}: ")
    both = build(tmp_path, guarded, replace(rsa, client_auth=asked, client_ca=authority.ca_path))
    assert [identity.asks_clients for identity in both.identities] == [True, True]
    other = section("other", authority.issue("other.example", key="rsa"))
    assert [identity.asks_clients for identity in build(tmp_path, guarded, other).identities] == [True, False]


def test_a_section_with_an_ed25519_key(authority: CertificateAuthority, tmp_path: Path) -> None:
    names = build(
        tmp_path,
        section("new", authority.issue("site.example", key="ed25519")),
        section("rsa", authority.issue("site.example", key="rsa")),
    )
    client = StdlibEnd(stdlib_client(str(authority.ca_path)), server_name="site.example")
    assert shake(client, serve(names, "site.example", (0x0807, *RSA_ONLY))).done
    modern, old = names.choose("site.example", (0x0807, *RSA_ONLY)), names.choose("site.example", RSA_ONLY)
    assert modern is not None
    assert old is not None
    assert (modern.section, old.section) == ("new", "rsa")


def test_a_ticket_from_one_section_never_resumes_on_another(authority: CertificateAuthority, tmp_path: Path) -> None:
    names = build(
        tmp_path,
        section("open", authority.issue("open.example")),
        section("secret", authority.issue("secret.example")),
    )
    stock = SSL.Context(SSL.TLS_CLIENT_METHOD)
    client, server = openssl_client(stock), serve(names, "open.example", ECDSA_ONLY)
    assert shake(client, server).done
    assert say(server, client, b"tickets come with this") == b"tickets come with this"
    session = client.connection.get_session()
    assert session is not None
    client.connection.shutdown()
    for name, reused in (("secret.example", False), ("open.example", True)):
        again, other = openssl_client(stock, session), serve(names, name, ECDSA_ONLY)
        assert shake(again, other).done
        assert session_reused(other.connection) is reused


@pytest.mark.parametrize(("mode", "chosen"), [(Mode.HTTP, "http/1.1"), (Mode.TCP, None)])
def test_alpn_is_for_http_alone(
    authority: CertificateAuthority, tmp_path: Path, mode: Mode, chosen: str | None
) -> None:
    names = build(tmp_path, section("site", authority.issue("site.example")), mode=mode)
    client = StdlibEnd(stdlib_client(alpn=("h2", "http/1.1")))
    assert shake(client, serve(names, None, ECDSA_ONLY)).done
    assert client.tls.selected_alpn_protocol() == chosen


def test_the_policy_is_the_sections(authority: CertificateAuthority, tmp_path: Path) -> None:
    names = build(tmp_path, section("site", authority.issue("site.example"), policy="modern"))
    client = StdlibEnd(stdlib_client(version=ssl.TLSVersion.TLSv1_2))
    assert "protocol version" in shake(client, serve(names, None, ECDSA_ONLY)).alert


def test_the_alert_for_a_refused_name_is_understood(authority: CertificateAuthority, tmp_path: Path) -> None:
    options = section("site", authority.issue("site.example"))
    names = build_server_identities(replace(listener("site"), unknown_names="refuse"), {"site": options}, tmp_path, NOW)
    assert names.choose("stranger.example", ECDSA_ONLY) is None
    client = StdlibEnd(stdlib_client(), server_name="stranger.example")
    assert not client.step()
    client.feed(UNRECOGNIZED_NAME)
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        client.step()


def test_a_self_signed_section_is_ready_at_once(tmp_path: Path) -> None:
    options = TlsOptions("site", "self-signed", None, ("localhost",))
    names = build(tmp_path, options)
    client = StdlibEnd(stdlib_client(str(tmp_path / "tls/self-signed.pem")), server_name="localhost")
    assert shake(client, serve(names, "localhost", ECDSA_ONLY)).done
    assert section_warnings(options, load_section(options, tmp_path, NOW), NOW) == ()


def test_a_bad_section_names_its_file(authority: CertificateAuthority, tmp_path: Path) -> None:
    good, missing = section("good", authority.issue("a.example")), tmp_path / "missing.pem"
    with pytest.raises(CertificateError, match=f"^{missing}: "):
        build(tmp_path, good, TlsOptions("bad", str(missing), None, ()))


def test_warnings_of_a_section(authority: CertificateAuthority, tmp_path: Path) -> None:
    issued = authority.issue(("*.site.example", "192.0.2.1"), expired=True)
    options = section("site", issued, "www.site.example", "site.example", "a.b.site.example", "192.0.2.1")
    chain = load_section(options, tmp_path, NOW)
    expired, uncovered = section_warnings(options, chain, NOW)
    assert "the certificate expired on" in expired
    assert uncovered == (
        f"{issued.chain_path}: the certificate is not for site.example, a.b.site.example, which [tls site] names"
    )
