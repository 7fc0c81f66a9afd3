"""What an operator is told of certificates."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.doubles.certificates import CertificateAuthority
from tests.tls.test_sections import section
from wsgate.config.load import parse_config
from wsgate.tls.material import read_material
from wsgate.tls.report import CertificateReport, certificate_reports, inspect

NOW = datetime.now(UTC)


def report(tmp_path: Path, authority: CertificateAuthority, *names: str, later: float = 0) -> CertificateReport:
    options = section("site", authority.issue(("site.example", "192.0.2.1")), *names)
    materials = {"site": read_material(options, tmp_path, NOW)}
    (found,) = certificate_reports({"site": options}, materials, NOW + timedelta(days=later))
    return found


def test_the_line_says_names_and_days(tmp_path: Path, authority: CertificateAuthority) -> None:
    found = report(tmp_path, authority)
    end = (NOW + timedelta(days=30)).strftime("%Y-%m-%d")
    assert found.line == f"certificate site: for site.example, 192.0.2.1, until {end}, 30 days left"
    assert found.warnings == ()
    assert re.fullmatch("[0-9a-f]{64}", found.sha256)
    assert found.facts["days_left"] == round(found.days_left, 2)
    assert found.facts["names"] == ["site.example", "192.0.2.1"]


def test_what_ends_soon_or_has_ended_is_a_warning(tmp_path: Path, authority: CertificateAuthority) -> None:
    assert report(tmp_path, authority, later=20).warnings == ("[tls site] the certificate has 10 days left: renew it",)
    (expired,) = report(tmp_path, authority, later=31).warnings
    assert "the certificate expired on" in expired
    assert report(tmp_path, authority, later=31).days_left < 0


def test_names_that_the_certificate_is_not_for_are_a_warning(tmp_path: Path, authority: CertificateAuthority) -> None:
    found = report(tmp_path, authority, "site.example", "other.example")
    assert found.names == ("site.example", "other.example")
    (warning,) = found.warnings
    assert warning.endswith("the certificate is not for other.example, which [tls site] names")


def test_sections_that_ask_clients_of_one_name_for_different_things_are_told(
    tmp_path: Path, authority: CertificateAuthority
) -> None:
    ecdsa, rsa = authority.issue("site.example"), authority.issue("site.example", key="rsa")
    text = f"""
[listener web]
bind = 127.0.0.1:8443
tls = ecdsa, rsa
[tls ecdsa]
certificate = {ecdsa.chain_path}
key = {ecdsa.key_path}
client_auth = require
client_ca = {authority.ca_path}
[tls rsa]
certificate = {rsa.chain_path}
key = {rsa.key_path}
[route r]
respond = 204
"""
    reports, wrong = inspect(parse_config(text, "x", tmp_path), NOW)
    assert len(reports) == 2
    ((kind, name, why),) = wrong
    assert (kind, name) == ("listener", "web")
    assert "[tls ecdsa] and [tls rsa] are both for site.example" in why
