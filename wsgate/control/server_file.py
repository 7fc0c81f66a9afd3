"""A file with one server a line, for those who write it by a program."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from wsgate.config.addresses import server
from wsgate.config.model import Server
from wsgate.config.values import BadValue
from wsgate.errors import WsgateError


class ServerFileError(WsgateError):
    """The file cannot be read, or a line of it is no server."""


def read_servers(path: Path) -> tuple[Server, ...]:
    """The servers of the file, as they would stand in ``servers``; empty lines and ``#`` comments are left out.

    Raises ServerFileError.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ServerFileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    found: dict[str, Server] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            one = server(text)
        except BadValue as bad:
            raise ServerFileError(f"{path}:{number}: {bad}") from None
        if one.factory or one.srv or one.file or one.address.is_unix and not one.address.path.startswith("/"):
            raise ServerFileError(f"{path}:{number}: expected an address such as 127.0.0.1:9000 or unix:/run/app.sock")
        if not one.address.is_unix and not _is_ip(one.address.host):
            raise ServerFileError(f"{path}:{number}: {one.address.host} is no address: write the addresses of a name")
        found.setdefault(str(one), one)
    return tuple(found.values())


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; None where it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
