"""Client certificates: who comes in, who does not, and that no session carries anybody past the check."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from tests.doubles.certificates import CertificateAuthority, IssuedCertificate
from tests.doubles.processes import rss
from tests.tls.handshakes import Handshake, OpenSslEnd, StdlibEnd, openssl_client, say, shake, stdlib_client
from tests.tls.test_sections import listener
from wsgate.config.model import Mode, TlsOptions
from wsgate.tls.certificates import CertificateError
from wsgate.tls.client_certificates import client_certificate
from wsgate.tls.openssl import session_reused
from wsgate.tls.policies import server_connection
from wsgate.tls.sections import build_server_identities
from wsgate.tls.server_names import ServerIdentity, ServerNames
from wsgate.tls.verification import PeerCertificateError

NOW = datetime.now(UTC)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
ALICE = (
    "alice.example.org",
    x509.RFC822Name("alice@example.org"),
    x509.UniformResourceIdentifier("urn:x:alice"),
    "192.0.2.1",
)


def section(
    authority: CertificateAuthority, name: str = "site", auth: str = "require", depth: int = 2, crl: Path | None = None
) -> TlsOptions:
    issued = authority.issue("localhost")
    ca = authority.ca_path if auth != "off" else None
    return TlsOptions(
        name,
        str(issued.chain_path),
        issued.key_path,
        (f"{name}.example",),
        client_auth=auth,
        client_ca=ca,
        client_depth=depth,
        client_crl=crl,
    )


def build(directory: Path, *sections: TlsOptions) -> ServerNames:
    table = {options.name: options for options in sections}
    return build_server_identities(listener(*table), table, directory, NOW)


def server(identity: ServerIdentity, *, tls13: bool = True) -> OpenSslEnd:
    return OpenSslEnd(server_connection(identity.context, tls13=tls13))


def client(issued: IssuedCertificate | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> StdlibEnd:
    context = stdlib_client(version=version)
    if issued is not None:
        context.load_cert_chain(issued.chain_path, issued.key_path)
    return StdlibEnd(context, server_name="site.example")


def meet(
    names: ServerNames, issued: IssuedCertificate | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[Handshake, OpenSslEnd]:
    theirs = server(names.identities[0], tls13=version is ssl.TLSVersion.TLSv1_3)
    return shake(client(issued, version), theirs), theirs


def revocations(authority: CertificateAuthority, path: Path, *revoked: IssuedCertificate, days: float = 7) -> Path:
    """A list of the authority's."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(NOW - timedelta(days=30))
        .next_update(NOW + timedelta(days=days))
    )
    for issued in revoked:
        serial = x509.load_pem_x509_certificate(issued.cert_path.read_bytes()).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - timedelta(days=1)).build()
        builder = builder.add_revoked_certificate(entry)
    path.write_bytes(builder.sign(authority._key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_a_good_certificate_comes_in_and_its_facts_are_known(
    authority: CertificateAuthority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    issued = authority.issue(ALICE, client=True)
    result, theirs = meet(build(tmp_path, section(authority)), issued, version)
    assert result.done
    found = client_certificate(theirs.connection)
    assert found is not None
    assert found.subject == "CN=not-a-name.invalid"
    assert found.names == ("dns:alice.example.org", "email:alice@example.org", "uri:urn:x:alice", "ip:192.0.2.1")
    leaf = x509.load_pem_x509_certificate(issued.cert_path.read_bytes())
    assert found.sha256 == leaf.fingerprint(hashes.SHA256()).hex()
    assert found.facts == {*found.names, f"subject:{found.subject}", f"sha256:{found.sha256}", "any"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("auth", "comes_in"), [("require", False), ("optional", True), ("off", True)])
def test_no_certificate(
    authority: CertificateAuthority, tmp_path: Path, version: ssl.TLSVersion, auth: str, comes_in: bool
) -> None:
    result, theirs = meet(build(tmp_path, section(authority, auth=auth)), None, version)
    assert result.done is comes_in
    if comes_in:
        assert client_certificate(theirs.connection) is None
    else:
        assert "certificate required" in result.alert or "handshake failure" in result.alert


def wrong_certificates(authority: CertificateAuthority, directory: Path) -> dict[str, tuple[IssuedCertificate, str]]:
    stranger = CertificateAuthority(directory / "stranger")
    return {
        "stranger": (stranger.issue(ALICE, client=True), "no trusted CA signed it"),
        "expired": (authority.issue(ALICE, client=True, expired=True), "it has expired"),
        "a server's": (authority.issue(ALICE), "it was not made for clients"),
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("auth", ["require", "optional"])
@pytest.mark.parametrize("kind", ["stranger", "expired", "a server's"])
def test_a_wrong_certificate_ends_the_handshake_and_is_told_why(
    authority: CertificateAuthority, tmp_path: Path, version: ssl.TLSVersion, auth: str, kind: str
) -> None:
    """Also where certificates are optional: a client that shows a bad one is not taken for one that shows none."""
    issued, why = wrong_certificates(authority, tmp_path)[kind]
    result, _ = meet(build(tmp_path, section(authority, auth=auth)), issued, version)
    assert not result.done
    assert result.client_error is not None, "the client hears an alert"
    assert isinstance(result.server_error, PeerCertificateError)
    assert str(result.server_error) == f"the client's certificate is not trusted: {why}"


@pytest.mark.parametrize(("depth", "comes_in"), [(1, True), (0, False)])
def test_depth_counts_what_stands_between(
    authority: CertificateAuthority, tmp_path: Path, depth: int, comes_in: bool
) -> None:
    issued = authority.intermediate().issue(ALICE, client=True)
    result, _ = meet(build(tmp_path, section(authority, depth=depth)), issued)
    assert result.done is comes_in
    if not comes_in:
        assert "too many certificates stand between" in str(result.server_error)


@pytest.mark.parametrize("mode", [Mode.HTTP, Mode.TCP])
@pytest.mark.parametrize("auth", ["require", "optional"])
def test_a_revoked_certificate_is_refused(
    authority: CertificateAuthority, tmp_path: Path, auth: str, mode: Mode
) -> None:
    """On Layer 4 as well (nginx CVE-2026-28755)."""
    good, bad = authority.issue(ALICE, client=True), authority.issue("bob.example.org", client=True)
    crl = revocations(authority, tmp_path / "crl.pem", bad)
    options = section(authority, auth=auth, crl=crl)
    names = build_server_identities(listener("site", mode=mode), {"site": options}, tmp_path, NOW)
    assert meet(names, good)[0].done
    result, _ = meet(names, bad)
    assert not result.done
    assert "it was revoked" in str(result.server_error)


def test_an_old_list_of_revoked_certificates_lets_nobody_in(authority: CertificateAuthority, tmp_path: Path) -> None:
    crl = revocations(authority, tmp_path / "crl.pem", days=-1)
    result, _ = meet(build(tmp_path, section(authority, crl=crl)), authority.issue(ALICE, client=True))
    assert "the revocation list of its authority is out of date" in str(result.server_error)


def test_an_authority_without_a_list_lets_nobody_in(authority: CertificateAuthority, tmp_path: Path) -> None:
    crl = revocations(authority, tmp_path / "crl.pem")
    below = authority.intermediate().issue(ALICE, client=True)
    result, _ = meet(build(tmp_path, section(authority, crl=crl)), below)
    assert "there is no revocation list" in str(result.server_error)


def test_files_that_are_no_authorities_or_lists(authority: CertificateAuthority, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    with pytest.raises(CertificateError, match=f"{garbage}: expected revocation lists in PEM format"):
        build(tmp_path, section(authority, crl=garbage))
    garbage.write_text("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    with pytest.raises(CertificateError, match=f"{garbage}: not a valid revocation list"):
        build(tmp_path, section(authority, crl=garbage))
    options = section(authority)
    with pytest.raises(CertificateError, match="expected CA certificates in PEM format"):
        build(tmp_path, replace(options, client_ca=garbage))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("auth", ["require", "optional"])
def test_where_certificates_are_asked_for_no_session_is_resumed(
    authority: CertificateAuthority, tmp_path: Path, version: ssl.TLSVersion, auth: str
) -> None:
    """A resumed session would pass by a new list of revoked certificates, and by the certificate's own end."""
    names = build(tmp_path, section(authority, auth=auth))
    context = stdlib_client(version=version)
    issued = authority.issue(ALICE, client=True)
    context.load_cert_chain(issued.chain_path, issued.key_path)
    tls13 = version is ssl.TLSVersion.TLSv1_3
    ours, theirs = StdlibEnd(context), server(names.identities[0], tls13=tls13)
    assert shake(ours, theirs).done
    assert say(theirs, ours, b"ticket comes before") == b"ticket comes before"
    again = StdlibEnd(context, session=ours.tls.session)
    second = server(names.identities[0], tls13=tls13)
    assert shake(again, second).done
    assert not session_reused(second.connection)
    assert client_certificate(second.connection) is not None, "it was asked for again"


def test_a_ticket_of_an_open_name_does_not_resume_on_a_guarded_one(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    """nginx CVE-2025-23419: ``-servername open -sess_out s``, then ``-servername secure -sess_in s``."""
    names = build(tmp_path, section(authority, "open", auth="off"), section(authority, "secure"))
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    ours, theirs = openssl_client(context), server(names.identities[0])
    assert shake(ours, theirs).done
    assert say(theirs, ours, b"ticket") == b"ticket"
    session = ours.connection.get_session()
    assert session is not None
    assert shake(openssl_client(context, session), server(names.identities[0])).done
    result = shake(openssl_client(context, session), server(names.identities[1]))
    assert not result.done
    assert "certificate required" in result.alert


def test_browsers_are_told_which_authorities_count(authority: CertificateAuthority, tmp_path: Path) -> None:
    names = build(tmp_path, section(authority, auth="optional"))
    ours = openssl_client()
    assert shake(ours, server(names.identities[0])).done
    assert [name.CN for name in ours.connection.get_client_ca_list()] == ["Throw-away CA"]


def test_many_handshakes_leave_no_sessions_behind(authority: CertificateAuthority, tmp_path: Path) -> None:
    """OpenSSL CVE-2024-2511: without tickets, TLS 1.3 could fill a session cache without end."""
    names = build(tmp_path, section(authority, auth="optional"))

    def handshakes(count: int) -> None:
        context = stdlib_client()
        for _ in range(count):
            assert shake(StdlibEnd(context), server(names.identities[0])).done

    handshakes(200)
    before = rss(os.getpid())
    handshakes(600)
    assert rss(os.getpid()) - before < 600 * 1024, "less than a kilobyte each: a session has more"
