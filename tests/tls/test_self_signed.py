"""The gateway's own certificate: made once, kept, and trusted by clients that are told to."""

from __future__ import annotations

import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.tls.handshakes import OpenSslEnd, StdlibEnd, shake, stdlib_client
from wsgate.tls.certificates import CertificateError, load_chain
from wsgate.tls.policies import INTERMEDIATE, server_connection, server_context
from wsgate.tls.self_signed import LIFETIME, self_signed

NOW = datetime.now(UTC).replace(microsecond=0)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_localhost_by_default(tmp_path: Path) -> None:
    paths = self_signed(tmp_path / "state", (), NOW)
    assert paths == (tmp_path / "state/tls/self-signed.pem", tmp_path / "state/tls/self-signed.key")
    chain = load_chain(*paths)
    assert chain.dns_names == ("localhost",)
    assert chain.addresses == (ip_address("127.0.0.1"), ip_address("::1"))


def test_what_the_certificate_says(tmp_path: Path) -> None:
    chain = load_chain(*self_signed(tmp_path, ("localhost",), NOW))
    leaf = chain.leaf
    assert isinstance(chain.key, ec.EllipticCurvePrivateKey)
    assert chain.key.curve.name == "secp256r1"
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=397)
    assert leaf.not_valid_before_utc <= NOW
    assert chain.warnings(NOW) == ()


def test_files_are_the_owners_own_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        paths = self_signed(tmp_path / "state", (), NOW)
    finally:
        os.umask(before)
    assert mode(paths.key.parent) == 0o700
    assert mode(paths.key) == 0o600
    assert sorted(entry.name for entry in paths.key.parent.iterdir()) == ["self-signed.key", "self-signed.pem"]


def test_a_folder_that_stood_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir(mode=0o755)
    paths = self_signed(tmp_path, (), NOW)
    assert mode(paths.key.parent) == 0o700


def test_it_is_made_once(tmp_path: Path) -> None:
    paths = self_signed(tmp_path, (), NOW)
    first = paths.certificate.read_bytes(), paths.key.read_bytes()
    later = NOW + LIFETIME - timedelta(days=31)
    assert self_signed(tmp_path, ("LOCALHOST", "localhost"), later) == paths
    assert (paths.certificate.read_bytes(), paths.key.read_bytes()) == first


@pytest.mark.parametrize("days", [368, 396, 500, -30])
def test_it_is_renewed_a_month_before_it_ends_and_when_the_clock_is_before_it(tmp_path: Path, days: int) -> None:
    first = load_chain(*self_signed(tmp_path, (), NOW))
    now = NOW + timedelta(days=days)
    renewed = load_chain(*self_signed(tmp_path, (), now))
    assert renewed.fingerprint != first.fingerprint
    assert renewed.not_after == now - timedelta(hours=1) + LIFETIME


def test_other_names_get_another_certificate_and_leave_the_first_alone(tmp_path: Path) -> None:
    first = self_signed(tmp_path, (), NOW)
    text = first.certificate.read_bytes()
    other = self_signed(tmp_path, ("api.example", "*.api.example", "192.0.2.1"), NOW)
    assert other.certificate.parent == first.certificate.parent
    assert load_chain(*other).dns_names == ("api.example", "*.api.example")
    assert load_chain(*other).addresses == (ip_address("192.0.2.1"),)
    assert self_signed(tmp_path, (), NOW) == first
    assert first.certificate.read_bytes() == text


@pytest.mark.parametrize("damage", ["certificate", "key", "both", "mismatch", "permissions"])
def test_what_is_damaged_is_made_anew(tmp_path: Path, damage: str) -> None:
    paths = self_signed(tmp_path, (), NOW)
    first = load_chain(*paths)
    if damage == "mismatch":
        paths.key.write_bytes(self_signed(tmp_path / "other", (), NOW).key.read_bytes())
    elif damage == "permissions":
        paths.key.chmod(0o644)
    else:
        for path in paths if damage == "both" else [getattr(paths, damage)]:
            path.write_bytes(b"half a fi")
    second = load_chain(*self_signed(tmp_path, (), NOW))
    assert second.fingerprint != first.fingerprint
    assert second.key.public_key() != first.key.public_key()


def test_a_draft_left_by_a_crash_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / f"tls/.self-signed.key.{os.getpid()}").write_bytes(b"a draft")
    paths = self_signed(tmp_path, (), NOW)
    assert len(list(paths.key.parent.iterdir())) == 2
    assert load_chain(*paths)


def test_a_failed_write_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = self_signed(tmp_path, (), NOW)
    before = paths.certificate.read_bytes(), paths.key.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CertificateError, match=r"tls: a self-signed certificate cannot be kept here: No space left"):
        self_signed(tmp_path, (), NOW + LIFETIME)
    assert (paths.certificate.read_bytes(), paths.key.read_bytes()) == before


def test_a_place_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(CertificateError, match="cannot be kept here: Not a directory"):
        self_signed(tmp_path / "state", (), NOW)


def test_names_that_are_not_ascii(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="names = bücher.example: expected ASCII names"):
        self_signed(tmp_path, ("bücher.example",), NOW)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_client_that_trusts_the_file_accepts_it(tmp_path: Path, name: str) -> None:
    paths = self_signed(tmp_path, (), NOW)
    context = server_context(load_chain(*paths), INTERMEDIATE, section="site")
    client = StdlibEnd(stdlib_client(str(paths.certificate)), server_name=name)
    assert shake(client, OpenSslEnd(server_connection(context, tls13=True))).done


def test_a_client_that_does_not_know_it_refuses_it(tmp_path: Path) -> None:
    paths = self_signed(tmp_path, (), NOW)
    context = server_context(load_chain(*paths), INTERMEDIATE, section="site")
    stranger = self_signed(tmp_path / "other", (), NOW)
    client = StdlibEnd(stdlib_client(str(stranger.certificate)), server_name="localhost")
    result = shake(client, OpenSslEnd(server_connection(context, tls13=True)))
    assert isinstance(result.client_error, ssl.SSLCertVerificationError)
