"""Chains and keys are read from files, or refused with a text that says what is right."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.certificates import CertificateAuthority, IssuedCertificate, pem, throwaway_key, write_key
from wsgate.errors import WsgateError
from wsgate.tls.certificates import (
    MAX_FILE,
    CertificateError,
    alternative_names,
    load_chain,
    parse_chain,
    read_private,
)


@pytest.fixture(scope="module")
def site(authority: CertificateAuthority) -> IssuedCertificate:
    return authority.intermediate().issue(("Site.Example", "*.site.example", "192.0.2.7", "2001:db8::7"))


def refusal(certificate: Path, key: Path | None) -> str:
    with pytest.raises(CertificateError) as caught:
        load_chain(certificate, key)
    return str(caught.value)


# What is read


def test_a_chain_and_its_key(site: IssuedCertificate) -> None:
    chain = load_chain(site.chain_path, site.key_path)
    assert chain.source == str(site.chain_path)
    assert len(chain.issuers) == 1
    assert chain.leaf.issuer == chain.issuers[0].subject
    assert chain.key.public_key() == chain.leaf.public_key()


def test_names_come_from_the_alternative_names_and_never_from_the_common_name(site: IssuedCertificate) -> None:
    chain = load_chain(site.chain_path, site.key_path)
    assert chain.dns_names == ("site.example", "*.site.example")
    assert chain.addresses == (ip_address("192.0.2.7"), ip_address("2001:db8::7"))
    assert alternative_names(chain.leaf) == ("Site.Example", "*.site.example", "192.0.2.7", "2001:db8::7")


def test_a_certificate_without_alternative_names_is_for_nobody(authority: CertificateAuthority) -> None:
    issued = authority.issue(())
    chain = load_chain(issued.cert_path, issued.key_path)
    assert chain.dns_names == ()
    assert chain.addresses == ()
    assert alternative_names(chain.leaf) == ()


def test_the_fingerprint_is_sha256_of_the_encoded_certificate(site: IssuedCertificate) -> None:
    chain = load_chain(site.chain_path, site.key_path)
    assert chain.fingerprint == sha256(chain.leaf.public_bytes(Encoding.DER)).hexdigest()


def test_certificate_and_key_may_share_a_file(site: IssuedCertificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(site.chain_path.read_bytes() + site.key_path.read_bytes())
    both.chmod(0o600)
    public = load_chain(site.chain_path, site.key_path).key.public_key()
    assert load_chain(both, None).key.public_key() == public
    both.write_bytes(site.key_path.read_bytes() + b"\n# the key came first\n" + site.chain_path.read_bytes())
    assert len(load_chain(both, None).issuers) == 1


def test_what_openssl_writes_before_a_key_is_skipped(tmp_path: Path) -> None:
    key = throwaway_key("ec")
    old = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    chain = parse_chain(self_made(key), parameters + old, certificate="cert", key="key")
    assert chain.key.public_key() == key.public_key()


def test_rsa_and_ed25519_keys_are_taken(authority: CertificateAuthority) -> None:
    issued = authority.issue("localhost", key="rsa")
    assert load_chain(issued.chain_path, issued.key_path).dns_names == ("localhost",)
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate = _builder(key).sign(key, None)
    assert parse_chain(pem(certificate), text, certificate="cert", key="key").key.public_key() == key.public_key()


# Age


def test_an_expired_certificate_is_a_warning(authority: CertificateAuthority) -> None:
    issued = authority.issue("localhost", expired=True)
    chain = load_chain(issued.chain_path, issued.key_path)
    now = datetime.now(UTC)
    day = (now - timedelta(days=1)).strftime("%Y-%m-%d")
    assert chain.warnings(now) == (f"{issued.chain_path}: the certificate expired on {day}: renew it",)
    assert -1.1 < chain.days_left(now) < -0.9
    assert chain.warnings(chain.not_after - timedelta(hours=1)) == ()


def test_a_certificate_of_the_future_is_a_warning(site: IssuedCertificate) -> None:
    chain = load_chain(site.chain_path, site.key_path)
    (warning,) = chain.warnings(chain.leaf.not_valid_before_utc - timedelta(minutes=1))
    assert "check the clock" in warning
    assert chain.warnings(chain.leaf.not_valid_before_utc + timedelta(minutes=1)) == ()


# Permissions of keys


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_keys_of_their_owner_alone_are_read(site: IssuedCertificate, tmp_path: Path, mode: int) -> None:
    key = write_key(tmp_path / "site.key", throwaway_key("ec"), mode)
    assert read_private(key).startswith(b"-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o620, 0o610, 0o602, 0o601, 0o440, 0o641, 0o650])
def test_keys_that_others_may_touch_are_refused(site: IssuedCertificate, tmp_path: Path, mode: int) -> None:
    key = write_key(tmp_path / "site.key", throwaway_key("ec"), mode)
    assert refusal(site.chain_path, key).startswith(f"{key}: others may read this key (mode {mode:04o}): make it 0600")


@pytest.mark.parametrize(("owner", "taken"), [(0, True), (1000, False)])
def test_the_group_may_read_what_root_owns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, taken: bool
) -> None:
    key = write_key(tmp_path / "site.key", throwaway_key("ec"), 0o640)
    real = os.fstat

    def owned(descriptor: int) -> os.stat_result:
        found = list(real(descriptor))
        found[4] = owner
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", owned)
    if taken:
        assert read_private(key)
    else:
        with pytest.raises(CertificateError, match="mode 0640"):
            read_private(key)


def test_a_file_with_both_is_a_key_file(site: IssuedCertificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(site.chain_path.read_bytes() + site.key_path.read_bytes())
    both.chmod(0o644)
    assert "others may read this key" in refusal(both, None)


def test_anybody_may_read_a_certificate(site: IssuedCertificate) -> None:
    site.chain_path.chmod(0o644)
    assert load_chain(site.chain_path, site.key_path)


# Refusals


def test_errors_are_the_gateways_own() -> None:
    assert issubclass(CertificateError, WsgateError)


def test_files_that_are_no_files(site: IssuedCertificate, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    assert refusal(missing, site.key_path) == f"{missing}: cannot be read: No such file or directory"
    assert refusal(site.chain_path, missing).startswith(f"{missing}: cannot be read")
    assert "cannot be read: Is a directory" in refusal(tmp_path, site.key_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal(pipe, site.key_path) == f"{pipe}: expected a file in PEM format, this is no regular file"
    large = tmp_path / "large.pem"
    large.write_bytes(bytes(MAX_FILE + 1))
    assert f"larger than {MAX_FILE} bytes" in refusal(large, site.key_path)


@pytest.mark.parametrize("garbage", [b"", b"\0" * 40, b"-----BEGIN PUBLIC KEY-----\n", "schlüssel".encode()])
def test_files_without_certificates_or_keys(site: IssuedCertificate, tmp_path: Path, garbage: bytes) -> None:
    file = tmp_path / "garbage.pem"
    file.write_bytes(garbage)
    file.chmod(0o600)
    expected = f"{file}: expected certificates in PEM format, beginning -----BEGIN CERTIFICATE-----"
    assert refusal(file, site.key_path) == expected
    assert refusal(site.chain_path, file).startswith(f"{file}: expected a private key in PEM format")


def test_broken_certificates_and_keys(site: IssuedCertificate, tmp_path: Path) -> None:
    file = tmp_path / "broken.pem"
    file.write_bytes(site.cert_path.read_bytes().replace(b"\nMII", b"\nMIx"))
    assert refusal(file, site.key_path).startswith(f"{file}: not a valid certificate: ")
    file.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    file.chmod(0o600)
    assert refusal(site.chain_path, file).startswith(f"{file}: not a valid private key: ")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused_and_the_way_out_told(
    site: IssuedCertificate, tmp_path: Path, form: PrivateFormat
) -> None:
    file = tmp_path / "secret.key"
    key = load_pem_private_key(site.key_path.read_bytes(), None)
    file.write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"open sesame")))
    file.chmod(0o600)
    text = refusal(site.chain_path, file)
    assert text.startswith(f"{file}: the key is encrypted")
    assert f"openssl pkey -in {file}" in text


def test_a_key_of_another_certificate(site: IssuedCertificate, tmp_path: Path) -> None:
    key = write_key(tmp_path / "other.key", throwaway_key("ec"))
    assert refusal(site.chain_path, key) == (
        f"{key}: this key belongs to no certificate in {site.chain_path}: give the key it was made with"
    )


def test_the_leaf_comes_first(site: IssuedCertificate, tmp_path: Path) -> None:
    leaf, issuer = x509.load_pem_x509_certificates(site.chain_path.read_bytes())
    file = tmp_path / "reversed.pem"
    file.write_bytes(pem(issuer) + pem(leaf))
    assert refusal(file, site.key_path).startswith(f"{file}: the certificate of the key is number 2 of the file")


def test_each_certificate_is_followed_by_the_one_that_signed_it(
    authority: CertificateAuthority, site: IssuedCertificate, tmp_path: Path
) -> None:
    leaf, issuer = x509.load_pem_x509_certificates(site.chain_path.read_bytes())
    file = tmp_path / "order.pem"
    for wrong, place in (
        ([leaf, authority.certificate, issuer], 1),
        ([leaf, issuer, leaf], 2),
        ([leaf, leaf, issuer], 1),
        ([leaf, CertificateAuthority(tmp_path / "other").certificate], 1),
    ):
        file.write_bytes(b"".join(map(pem, wrong)))
        text = refusal(file, site.key_path)
        assert text.startswith(f"{file}: certificate {place + 1} of the file did not sign certificate {place}: ")
    file.write_bytes(b"".join(map(pem, [leaf, issuer, authority.certificate])))
    assert len(load_chain(file, site.key_path).issuers) == 2


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("rsa1024", "an RSA key of 1024 bits is too weak: at least 2048"),
        ("secp256k1", "a key on the curve secp256k1: TLS has secp256r1, secp384r1, secp521r1"),
    ],
)
def test_keys_that_no_client_takes(kind: str, text: str) -> None:
    key = throwaway_key(kind)
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(CertificateError) as caught:
        parse_chain(self_made(key), written, certificate="cert", key="site.key")
    assert str(caught.value) == f"site.key: {text}"


def test_kinds_of_keys_that_tls_has_not() -> None:
    key = dsa.generate_private_key(1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(CertificateError, match="site.key: expected an ECDSA, RSA or Ed25519 key, this is DSA"):
        parse_chain(self_made(throwaway_key("ec")), key, certificate="cert", key="site.key")


def test_a_certificate_with_a_key_of_the_future(site: IssuedCertificate, tmp_path: Path) -> None:
    leaf = x509.load_pem_x509_certificate(site.cert_path.read_bytes())
    id_ec_public_key, unknown = bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d027f")
    encoded = leaf.public_bytes(Encoding.DER)
    assert id_ec_public_key in encoded
    file = tmp_path / "future.pem"
    file.write_bytes(pem(x509.load_der_x509_certificate(encoded.replace(id_ec_public_key, unknown))))
    assert refusal(file, site.key_path).startswith(f"{file}: a certificate has a public key that cannot be used: ")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_to_a_file_escapes_as_another_error(site: IssuedCertificate, data: st.DataObject) -> None:
    texts = [bytearray(site.chain_path.read_bytes()), bytearray(site.key_path.read_bytes())]
    for _ in range(data.draw(st.integers(1, 4))):
        text = data.draw(st.sampled_from(texts))
        place = data.draw(st.integers(0, len(text) - 1))
        text[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=4))
        text += b"\n"
    try:
        chain = parse_chain(bytes(texts[0]), bytes(texts[1]), certificate="cert", key="key")
    except CertificateError as error:
        assert str(error).startswith(("cert: ", "key: "))
    else:
        assert chain.key.public_key() == chain.leaf.public_key()


def self_made(key: object) -> bytes:
    """The PEM text of a certificate that ``key`` signed for itself."""
    return pem(_builder(key).sign(key, hashes.SHA256()))  # type: ignore[arg-type]


def _builder(key: object) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "self-made")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())  # type: ignore[attr-defined]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
