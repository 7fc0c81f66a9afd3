"""What an operator is told of certificates: names, days left, and what is probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wsgate.config.model import Config, TlsOptions
from wsgate.tls.certificates import CertificateError
from wsgate.tls.material import ACME, SELF_SIGNED, TlsMaterial, chain_of, read_material
from wsgate.tls.sections import agree_on_clients, make_identity, section_warnings
from wsgate.tls.server_names import ServerIdentity
from wsgate.tls.towards_servers import UpstreamTlsContext

#: Days before the end when a certificate is a matter of concern: what renews at two thirds of 90 days has 30 left.
SOON = 14


@dataclass(frozen=True, slots=True)
class CertificateReport:
    """One ``[tls NAME]`` section; ``days_left`` is below 0 when its certificate has expired."""

    section: str
    names: tuple[str, ...]
    not_after: datetime
    days_left: float
    sha256: str
    warnings: tuple[str, ...]

    @property
    def line(self) -> str:
        """One line of a log."""
        names = ", ".join(self.names) or "no name"
        until = f"until {self.not_after:%Y-%m-%d}, {self.days_left:.0f} days left"
        return f"certificate {self.section}: for {names}, {until}"

    @property
    def facts(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "section": self.section,
            "names": list(self.names),
            "not_after": self.not_after.isoformat(),
            "days_left": round(self.days_left, 2),
            "sha256": self.sha256,
        }


def certificate_reports(
    sections: Mapping[str, TlsOptions], materials: Mapping[str, TlsMaterial], now: datetime
) -> Iterator[CertificateReport]:
    """A report of each section that is in use.  ``materials`` are good: contexts have been made of them."""
    for name, material in materials.items():
        options = sections[name]
        chain = chain_of(options, material)
        names = options.names or (*chain.dns_names, *map(str, chain.addresses))
        left = chain.days_left(now)
        warnings = section_warnings(options, chain, now)
        if 0 < left < SOON:
            warnings += (f"[tls {name}] the certificate has {left:.0f} days left: renew it",)
        yield CertificateReport(name, names, chain.not_after, left, chain.fingerprint, warnings)


def inspect(config: Config, now: datetime) -> tuple[list[CertificateReport], list[tuple[str, str, str]]]:
    """Look at the files of a configuration as a start would, and make nothing.

    Gives the reports, and what is wrong: the kind and the name of each section, and a text.
    """
    reports: list[CertificateReport] = []
    wrong: list[tuple[str, str, str]] = []
    identities: dict[str, ServerIdentity] = {}
    for name, options in config.tls.items():
        if options.certificate in (SELF_SIGNED, ACME):
            continue
        try:
            material = read_material(options, config.gateway.state_dir, now)
            identities[name] = make_identity(options, material, now, ())
            reports += certificate_reports(config.tls, {name: material}, now)
        except CertificateError as error:
            wrong.append(("tls", name, str(error)))
    for listener in config.listeners:
        try:
            agree_on_clients(identities[name] for name in listener.tls if name in identities)
        except CertificateError as error:
            wrong.append(("listener", listener.name, str(error)))
    for upstream in config.upstreams.values():
        try:
            if upstream.tls is not None:
                UpstreamTlsContext(upstream.tls)
        except CertificateError as error:
            wrong.append(("upstream", upstream.name, str(error)))
    return reports, wrong
