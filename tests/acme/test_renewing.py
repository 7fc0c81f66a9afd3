"""Which sections need a certificate, and what is kept of each attempt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.doubles.certificates import CertificateAuthority
from wsgate.acme.places import AcmePlaces
from wsgate.acme.renewing import due, renew
from wsgate.acme.schedule import Renewal
from wsgate.config.load import parse_config
from wsgate.config.model import Config, TlsOptions
from wsgate.tls.material import read_material

NOW = datetime.now(UTC)
INI = """
[listener web]
bind = 127.0.0.1:1
[listener secure]
bind = 127.0.0.1:2
tls = site, own
[tls site]
certificate = acme
names = site.example, www.site.example
[tls own]
certificate = self-signed
[route r]
respond = 204
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse_config(INI, "x", tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "ca")


def issuing(
    authority: CertificateAuthority, *names: str, suggested: datetime | None = None
) -> Callable[[TlsOptions, AcmePlaces], tuple[bytes, Callable[[bytes], datetime | None]]]:
    def obtain(options: TlsOptions, _places: AcmePlaces) -> tuple[bytes, Callable[[bytes], datetime | None]]:
        issued = authority.issue(names or options.names, days=90)
        return issued.key_path.read_bytes() + issued.chain_path.read_bytes(), lambda _pem: suggested

    return obtain


def refusing(_options: TlsOptions, _places: AcmePlaces) -> tuple[bytes, Callable[[bytes], datetime | None]]:
    raise RuntimeError("rate limited")


def state(config: Config) -> Renewal:
    places = AcmePlaces(config.gateway.state_dir)
    return Renewal.read(places.read_json(places.state("site")))


def run(config: Config, obtain: object, now: datetime = NOW) -> list[tuple[str, str]]:
    return list(renew(config, lambda: now, lambda: 0.5, obtain, wanted=due(config, now)))  # type: ignore[arg-type]


def test_a_self_signed_certificate_stands_in_until_there_is_one(
    config: Config, tmp_path: Path, authority: CertificateAuthority
) -> None:
    options = config.tls["site"]
    first = read_material(options, config.gateway.state_dir, NOW)
    assert [options.name for options in due(config, NOW)] == ["site"]
    assert run(config, issuing(authority)) == [("site", "")]
    assert due(config, NOW) == []
    second = read_material(options, config.gateway.state_dir, NOW)
    assert second.certificate != first.certificate
    assert second.certificate == second.key, "one file: nobody sees one without the other"


def test_it_is_renewed_in_time_and_again(config: Config, authority: CertificateAuthority) -> None:
    run(config, issuing(authority))
    at = state(config).renew_at
    assert at is not None
    assert due(config, at - timedelta(hours=1)) == []
    assert len(due(config, at)) == 1


def test_the_authoritys_suggestion_is_followed(config: Config, authority: CertificateAuthority) -> None:
    moment = NOW + timedelta(days=5)
    run(config, issuing(authority, suggested=moment))
    assert state(config).renew_at == moment


def test_a_new_name_and_an_expired_certificate_are_due_at_once(config: Config, authority: CertificateAuthority) -> None:
    run(config, issuing(authority, "site.example"))
    assert len(due(config, NOW)) == 1, "www.site.example is missing"
    run(config, issuing(authority))
    assert due(config, NOW) == []
    assert len(due(config, NOW + timedelta(days=91))) == 1


def test_a_failure_keeps_what_is_served_and_waits(config: Config, authority: CertificateAuthority) -> None:
    run(config, issuing(authority))
    places = AcmePlaces(config.gateway.state_dir)
    served = places.certificate("site").read_bytes()
    later = NOW + timedelta(days=80)
    assert run(config, refusing, later) == [("site", "rate limited")]
    assert places.certificate("site").read_bytes() == served
    assert due(config, later) == []
    found = state(config)
    assert (found.failures, found.error) == (1, "rate limited")
    assert found.retry_at is not None
    assert len(due(config, found.retry_at)) == 1


def test_garbage_of_an_authority_is_a_failure_as_well(config: Config, authority: CertificateAuthority) -> None:
    run(config, lambda *_: (b"-----BEGIN CERTIFICATE-----\ngarbage", lambda _pem: None))
    assert state(config).failures == 1
