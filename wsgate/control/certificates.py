"""Telling the operator of certificates: at the start, after a reload, and every day while one is about to end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from twisted.logger import Logger

from wsgate.control.material import Material
from wsgate.tls.report import certificate_reports

_log = Logger("wsgate")

#: Seconds between two looks at what is served.
DAY = 24 * 60 * 60


class CertificateNotices:
    """Logs what ``material()`` holds; ``now`` is aware of its time zone."""

    def __init__(self, reactor: Any, now: Callable[[], datetime], material: Callable[[], Material]) -> None:
        self._reactor = reactor
        self._now = now
        self._material = material
        self._call: Any = None

    def tell(self, *, all_of_them: bool = True) -> None:
        """Log each certificate, or only the warnings, now and again in a day."""
        material = self._material()
        for report in certificate_reports(material.config.tls, material.tls, self._now()):
            if all_of_them:
                _log.info("{line}", line=report.line)
            for warning in report.warnings:
                _log.warn("{warning}", warning=warning)
        self.stop()
        self._call = self._reactor.callLater(DAY, self.tell, all_of_them=False)

    def facts(self) -> list[dict[str, Any]]:
        """What is served, as JSON has it."""
        material = self._material()
        return [report.facts for report in certificate_reports(material.config.tls, material.tls, self._now())]

    def stop(self) -> None:
        """Tell nothing more."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
