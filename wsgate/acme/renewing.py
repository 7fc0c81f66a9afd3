"""Which sections need a certificate now, and getting them: what ``wsgate acme`` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from wsgate.acme.places import AcmePlaces
from wsgate.acme.schedule import Renewal, renewed
from wsgate.config.model import Config, TlsOptions
from wsgate.tls.certificates import CertificateChain, CertificateError, load_chain
from wsgate.tls.material import ACME


def sections(config: Config) -> list[TlsOptions]:
    """The sections whose certificate comes by ACME."""
    return [options for options in config.tls.values() if options.certificate == ACME]


def due(config: Config, now: datetime) -> list[TlsOptions]:
    """The sections to ask for now."""
    places = AcmePlaces(config.gateway.state_dir)
    found = []
    for options in sections(config):
        state = Renewal.read(places.read_json(places.state(options.name)))
        if state.due(now, serves=_serves(options, places, now)):
            found.append(options)
    return found


def renew(
    config: Config,
    now: Callable[[], datetime],
    chance: Callable[[], float],
    obtain: Callable[[TlsOptions, AcmePlaces], tuple[bytes, Callable[[bytes], datetime | None]]],
    *,
    wanted: list[TlsOptions],
) -> Iterator[tuple[str, str]]:
    """Ask for each of ``wanted``; yields the section's name and what went wrong, or nothing.

    ``obtain`` gives key and chain, and what asks the authority when to renew a chain.
    """
    places = AcmePlaces(config.gateway.state_dir)
    places.make()
    for options in wanted:
        state = Renewal.read(places.read_json(places.state(options.name)))
        error = ""
        try:
            pem, suggest = obtain(options, places)
            places.write(places.certificate(options.name), pem)
            chain = _chain(options, places)
            state = renewed(chain.leaf.not_valid_before_utc, chain.not_after, chance(), suggested=suggest(_public(pem)))
        except Exception as failure:  # whatever it is, the next attempt waits and the operator hears of it
            error = f"{failure}" or type(failure).__name__
            state = state.failed(now(), error, chance())
        places.write_json(places.state(options.name), state.facts())
        yield options.name, error


def _serves(options: TlsOptions, places: AcmePlaces, now: datetime) -> bool:
    try:
        chain = _chain(options, places)
    except CertificateError:
        return False
    return chain.days_left(now) > 0 and set(options.names) <= set(chain.dns_names)


def _chain(options: TlsOptions, places: AcmePlaces) -> CertificateChain:
    return load_chain(places.certificate(options.name), None)


def _public(pem: bytes) -> bytes:
    """The certificates of a file without its key."""
    return pem[pem.index(b"-----BEGIN CERTIFICATE-----") :]
