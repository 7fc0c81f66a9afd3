"""OCSP responses from a file: sent while they are good, and never instead of the certificate's own truth."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from OpenSSL import SSL

from tests.doubles.certificates import CertificateAuthority, IssuedCertificate
from tests.tls.handshakes import OpenSslEnd, openssl_client, shake
from tests.tls.test_sections import listener, section
from wsgate.tls.certificates import CertificateError
from wsgate.tls.policies import server_connection
from wsgate.tls.sections import build_server_identities, names_warnings
from wsgate.tls.server_names import ServerNames

NOW = datetime.now(UTC)


def response(
    authority: CertificateAuthority,
    issued: IssuedCertificate,
    *,
    days: float = 3,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
) -> bytes:
    revoked = NOW - timedelta(days=1) if status is ocsp.OCSPCertStatus.REVOKED else None
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=x509.load_pem_x509_certificate(issued.cert_path.read_bytes()),
            issuer=authority.certificate,
            algorithm=hashes.SHA256(),
            cert_status=status,
            this_update=NOW - timedelta(days=7),
            next_update=NOW + timedelta(days=days),
            revocation_time=revoked,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)
    )
    return builder.sign(authority._key, hashes.SHA256()).public_bytes(Encoding.DER)


def build(directory: Path, issued: IssuedCertificate, answer: bytes) -> ServerNames:
    path = directory / "site.ocsp"
    path.write_bytes(answer)
    options = replace(section("site", issued), ocsp=path)
    return build_server_identities(listener("site"), {"site": options}, directory, NOW)


def stapled(names: ServerNames) -> bytes:
    """What a client that asks for a response is sent."""
    heard: list[bytes] = []
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_ocsp_client_callback(lambda _connection, data, _: heard.append(data) is None)
    client = openssl_client(context)
    client.connection.request_ocsp()
    assert shake(client, OpenSslEnd(server_connection(names.identities[0].context, tls13=True))).done
    return heard[0]


def test_a_good_response_is_stapled(authority: CertificateAuthority, tmp_path: Path) -> None:
    issued = authority.issue("site.example")
    answer = response(authority, issued)
    names = build(tmp_path, issued, answer)
    assert stapled(names) == answer
    assert names_warnings(names, NOW) == ()


def test_a_response_that_grows_old_is_sent_no_more_and_a_new_one_needs_no_new_context(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    issued = authority.issue("site.example")
    names = build(tmp_path, issued, response(authority, issued))
    identity = names.identities[0]
    assert identity.staple is not None
    assert not identity.staple.expire(NOW)
    assert identity.staple.expire(NOW + timedelta(days=4))
    assert not identity.staple.expire(NOW + timedelta(days=4))
    assert stapled(names) == b""
    assert names_warnings(names, NOW) == (
        f"{tmp_path}/site.ocsp: the OCSP response is out of date and is not sent: fetch anew",
    )
    fresh = response(authority, issued, days=9)
    identity.staple.load(fresh, identity.chain, NOW + timedelta(days=4), "site.ocsp")
    assert stapled(names) == fresh


def test_an_old_response_does_not_keep_the_gateway_from_starting(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    issued = authority.issue("site.example")
    assert stapled(build(tmp_path, issued, response(authority, issued, days=-1))) == b""


def test_what_is_no_good_answer_about_this_certificate_is_refused(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    issued, other = authority.issue("site.example"), authority.issue("other.example")
    with pytest.raises(CertificateError, match="is for another certificate"):
        build(tmp_path, issued, response(authority, other))
    with pytest.raises(CertificateError, match="was revoked"):
        build(tmp_path, issued, response(authority, issued, status=ocsp.OCSPCertStatus.REVOKED))
    refusal = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    with pytest.raises(CertificateError, match="says try_later"):
        build(tmp_path, issued, refusal.public_bytes(Encoding.DER))
    with pytest.raises(CertificateError, match="expected an OCSP response in DER format"):
        build(tmp_path, issued, b"garbage")


def test_a_refused_response_leaves_the_former_one(authority: CertificateAuthority, tmp_path: Path) -> None:
    issued = authority.issue("site.example")
    answer = response(authority, issued)
    names = build(tmp_path, issued, answer)
    identity = names.identities[0]
    assert identity.staple is not None
    with pytest.raises(CertificateError):
        identity.staple.load(b"garbage", identity.chain, NOW, "site.ocsp")
    assert stapled(names) == answer
