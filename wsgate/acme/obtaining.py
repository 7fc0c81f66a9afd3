"""The one way to a certificate that needs the extra: everything else of ACME is there without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from wsgate.acme.client import AcmeClient
from wsgate.acme.places import AcmePlaces
from wsgate.config.model import TlsOptions

Obtain = Callable[[TlsOptions, AcmePlaces], tuple[bytes, Callable[[bytes], datetime | None]]]


def obtainer(now: Callable[[], datetime]) -> Obtain:
    """What gets key and chain of a section, and what asks when to renew them.  It blocks and raises ``AcmeError``."""

    def obtain(options: TlsOptions, places: AcmePlaces) -> tuple[bytes, Callable[[bytes], datetime | None]]:
        client = AcmeClient(options, places, now)
        return client.obtain(), client.suggested

    return obtain
