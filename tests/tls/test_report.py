"""What an operator is told of certificates."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.doubles.certificates import CertificateAuthority
from tests.tls.test_sections import section
from wsgate.tls.material import read_material
from wsgate.tls.report import CertificateReport, certificate_reports

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
