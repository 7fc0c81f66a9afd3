"""A certificate that is replaced: what did not change goes on, and nothing bad takes the place of the good."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.doubles.certificates import CertificateAuthority, IssuedCertificate
from tests.tls.handshakes import openssl_client, say, shake
from tests.tls.test_sections import ECDSA_ONLY, listener, serve
from wsgate.config.model import TlsOptions
from wsgate.tls.certificates import CertificateError
from wsgate.tls.material import read_material
from wsgate.tls.openssl import session_reused
from wsgate.tls.sections import build_server_identities, names_warnings, read_materials
from wsgate.tls.server_names import ServerNames

NOW = datetime.now(UTC)


class Site:
    """Two sections whose files are replaced as an operator or an ACME client does it."""

    def __init__(self, directory: Path, authority: CertificateAuthority) -> None:
        self.directory = directory
        self.sections = {name: self._section(name) for name in ("site", "other")}
        for name in self.sections:
            self.put(name, authority.issue(f"{name}.example"))

    def _section(self, name: str) -> TlsOptions:
        return TlsOptions(
            name, str(self.directory / f"{name}.pem"), self.directory / f"{name}.key", (f"{name}.example",)
        )

    def put(self, name: str, issued: IssuedCertificate, key: IssuedCertificate | None = None) -> None:
        shutil.copy(issued.chain_path, self.directory / f"{name}.pem")
        shutil.copy((key or issued).key_path, self.directory / f"{name}.key")

    def build(self, previous: ServerNames | None = None) -> ServerNames:
        return build_server_identities(listener(*self.sections), self.sections, self.directory, NOW, previous=previous)


@pytest.fixture
def site(authority: CertificateAuthority, tmp_path: Path) -> Site:
    return Site(tmp_path, authority)


def test_what_did_not_change_keeps_its_context_and_its_sessions(authority: CertificateAuthority, site: Site) -> None:
    first = site.build()
    client, server = openssl_client(), serve(first, "site.example", ECDSA_ONLY)
    assert shake(client, server).done
    assert say(server, client, b"ticket") == b"ticket"
    site.put("other", authority.issue("other.example", days=20))
    second = site.build(first)
    assert second.identities[0] is first.identities[0]
    assert second.identities[1].chain.leaf != first.identities[1].chain.leaf
    again = openssl_client(client.connection.get_context(), client.connection.get_session())
    server = serve(second, "site.example", ECDSA_ONLY)
    assert shake(again, server).done
    assert session_reused(server.connection)


def test_a_changed_option_makes_a_new_context(site: Site) -> None:
    first = site.build()
    site.sections["site"] = TlsOptions(**{**_fields(site.sections["site"]), "policy": "modern"})
    assert site.build(first).identities[0] is not first.identities[0]


def _fields(options: TlsOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in options.__slots__}


def test_garbage_and_wrong_keys_raise_and_leave_what_is_served(authority: CertificateAuthority, site: Site) -> None:
    first = site.build()
    site.put("site", authority.issue("site.example", days=20), key=authority.issue("other.example"))
    with pytest.raises(CertificateError, match="belongs to no certificate"):
        site.build(first)
    (site.directory / "site.pem").write_bytes(b"garbage")
    with pytest.raises(CertificateError, match="expected certificates in PEM format"):
        site.build(first)
    assert shake(openssl_client(), serve(first, "site.example", ECDSA_ONLY)).done


def test_an_expired_certificate_never_replaces_a_valid_one(authority: CertificateAuthority, site: Site) -> None:
    first = site.build()
    site.put("site", authority.issue("site.example", expired=True))
    with pytest.raises(CertificateError, match="this certificate has expired, the one that is served has not"):
        site.build(first)


def test_an_expired_certificate_is_a_warning_at_the_start_and_where_the_old_one_expired_too(
    authority: CertificateAuthority, site: Site
) -> None:
    site.put("site", authority.issue("site.example", expired=True))
    first = site.build()
    assert ["the certificate expired on" in warning for warning in names_warnings(first, NOW)] == [True]
    site.put("site", authority.issue("site.example", expired=True, days=3))
    assert site.build(first).identities[0] is not first.identities[0]


def test_everything_is_read_before_anything_is_made(site: Site) -> None:
    """Reading and making are apart: who has given its privileges up makes contexts of what was read before."""
    materials = read_materials([listener(*site.sections)], site.sections, site.directory, NOW)
    for path in site.directory.glob("*.*"):
        path.unlink()
    names = build_server_identities(listener(*site.sections), site.sections, site.directory, NOW, materials=materials)
    assert shake(openssl_client(), serve(names, "other.example", ECDSA_ONLY)).done


def test_no_key_is_shown_by_accident(site: Site) -> None:
    material = read_material(site.sections["site"], site.directory, NOW)
    assert b"PRIVATE KEY" in material.key
    assert "PRIVATE KEY" not in repr(material)
