"""What a configuration names on disk: that it is there, can be read, and that keys are not open to others."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from wsgate.config.build import MADE_HERE
from wsgate.config.model import Config, StaticTarget, TlsOptions, UpstreamTls
from wsgate.config.problems import Findings


def check(config: Config, findings: Findings) -> None:
    """Look at each file and directory; those of options with a problem already are left alone."""
    for name, tls in config.tls.items():
        _client_files(name, tls, findings)
        if tls.certificate not in MADE_HERE and not findings.is_bad("tls", name, "certificate", "key"):
            certificate = Path(tls.certificate)
            key = tls.key or certificate
            option = "certificate" if key == certificate else "key"
            _tell(("tls", name, option), _unreadable(key) or _open_to_others(key), findings)
            if key != certificate:
                _tell(("tls", name, "certificate"), _unreadable(certificate), findings)
    for upstream in config.upstreams.values():
        if upstream.tls is not None:
            _upstream_tls(upstream.name, upstream.tls, findings)
    for route in config.routes:
        if isinstance(route.target, StaticTarget):
            _tell(("route", route.name, "static"), _no_directory(route.target.root), findings)
    _gateway(config, findings)


def _client_files(name: str, tls: TlsOptions, findings: Findings) -> None:
    for option in ("client_ca", "client_crl", "ocsp", "acme_ca"):
        path = getattr(tls, option)
        if path is not None:
            _tell(("tls", name, option), _unreadable(path), findings)


def _upstream_tls(name: str, tls: UpstreamTls, findings: Findings) -> None:
    if tls.ca is not None:
        _tell(("upstream", name, "tls_ca"), _unreadable(tls.ca), findings)
    if tls.certificate is not None:
        key = tls.key or tls.certificate
        option = "tls_key" if tls.key else "tls_certificate"
        _tell(("upstream", name, option), _unreadable(key) or _open_to_others(key), findings)
        if tls.key:
            _tell(("upstream", name, "tls_certificate"), _unreadable(tls.certificate), findings)


def _gateway(config: Config, findings: Findings) -> None:
    state_dir = config.gateway.state_dir
    if state_dir.exists() and not state_dir.is_dir():
        _tell(("gateway", "", "state_dir"), f"{state_dir} is not a directory: choose another path", findings)
    if config.gateway.access_log not in ("-", "off"):
        log = Path(config.gateway.access_log)
        wrong = f"{log} is a directory: name a file" if log.is_dir() else _no_directory(log.parent)
        _tell(("gateway", "", "access_log"), wrong, findings)


def _tell(place: tuple[str, str, str], wrong: str, findings: Findings) -> None:
    if wrong:
        findings.problem(*place, wrong)


def _unreadable(path: Path) -> str:
    try:
        # Without O_NONBLOCK opening a fifo would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
    return "" if regular else f"{path} is not a file"


def is_private(mode: int, owner: int) -> bool:
    """Whether a file with these permission bits and this owner's number may hold a private key: it is for its owner;
    a group may read it only as Debian keeps keys, owned by root with mode 0640."""
    return not mode & 0o077 or (owner == 0 and mode == 0o640)


def _open_to_others(key: Path) -> str:
    status = key.stat()
    mode = stat.S_IMODE(status.st_mode)
    if is_private(mode, status.st_uid):
        return ""
    return f"{key} has mode {mode:04o}, so that others may use the key: chmod 600 {key}"


def _no_directory(path: Path) -> str:
    try:
        with os.scandir(path):
            return ""
    except OSError as error:
        return f"the directory {path} cannot be read: {error.strerror}"
