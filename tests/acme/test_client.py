"""What the protocol's own code of ours does without an authority; ``tests/e2e/test_acme.py`` has one."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from acme import challenges
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC
from josepy.util import ComparableECKey

from tests.tls.handshakes import OpenSslEnd, StdlibEnd, shake, stdlib_client
from wsgate.acme.client import TlsAlpn, alpn_certificate
from wsgate.acme.places import AcmePlaces
from wsgate.acme.tls_alpn import answer_context
from wsgate.tls.certificates import CertificateError
from wsgate.tls.policies import server_connection

NOW = datetime.now(UTC)
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


def test_the_class_of_tls_alpn_reads_the_authoritys_words() -> None:
    found = challenges.Challenge.from_json({"type": "tls-alpn-01", "token": TOKEN})
    assert isinstance(found, TlsAlpn)
    key = JWKEC(key=ComparableECKey(ec.generate_private_key(ec.SECP256R1())))
    _, validation = found.response_and_validation(key)
    assert validation == sha256(found.key_authorization(key).encode()).digest()


def test_the_certificate_of_an_answer_holds_the_digest_for_one_name() -> None:
    digest = bytes(range(32))
    certificate = x509.load_pem_x509_certificate(alpn_certificate("site.example", digest, NOW))
    extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    assert extension.critical
    assert isinstance(extension.value, x509.UnrecognizedExtension)
    assert extension.value.value == b"\x04\x20" + digest
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["site.example"]


def test_an_answer_is_shown_with_its_protocol_to_who_asks_for_it(tmp_path: Path) -> None:
    places = AcmePlaces(tmp_path)
    places.make()
    with pytest.raises(CertificateError):
        answer_context(places, "site.example")
    places.write(places.name("site.example"), alpn_certificate("site.example", b"x" * 32, NOW))
    context = answer_context(places, "site.example")
    client = StdlibEnd(stdlib_client(alpn=("acme-tls/1",)), server_name="site.example")
    assert shake(client, OpenSslEnd(server_connection(context, tls13=True))).done
    assert client.tls.selected_alpn_protocol() == "acme-tls/1"
