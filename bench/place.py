"""What every gateway's configuration is made of: ports, servers behind them, a certificate, a file to serve."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LISTENERS = ("l4", "l4tls", "l4push", "l4tlspush", "http", "httptls")

RELAYS = ("frames", "tunnel", "messages")
"""The relays of wsgate's WebSocket routes, which are also the paths: other gateways do the same on each of them."""

FILE_SIZE = 1024
PUSH_SIZE = 65_536
DESCRIPTORS = 20_000
"""Descriptors that the largest case needs: two for each connection of a gateway, and some."""

SERVERS: Mapping[str, tuple[str, ...]] = {
    "tcp": (),
    "push": ("--push", str(PUSH_SIZE)),
    "ws": ("--ws", "--body", str(FILE_SIZE)),
    "wspush": ("--ws", "--push", str(PUSH_SIZE)),
}
"""The servers behind the gateways: gwbench's, by name, with their arguments."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files: a chain, its key, and both in one."""

    chain: Path
    key: Path
    both: Path


@dataclass(frozen=True, slots=True)
class Place:
    """``folder`` belongs to one gateway; ``ports`` are its listeners', ``servers`` those behind it; ``www`` has a file.

    ``programs`` is where Python's programs of other projects are installed.
    """

    folder: Path
    ports: Mapping[str, int]
    servers: Mapping[str, int]
    certificate: Certificate
    www: Path
    programs: Path
    workers: int = 1


def certificate(folder: Path) -> Certificate:
    """A self-signed P-256 certificate and its key."""
    made = Certificate(folder / "chain.pem", folder / "key.pem", folder / "both.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost"
    subprocess.run(
        [*command.split(), "-keyout", str(made.key), "-out", str(made.chain)], check=True, capture_output=True
    )
    made.both.touch(mode=0o600)
    made.both.write_text(made.chain.read_text() + made.key.read_text())
    return made


def site(folder: Path) -> Path:
    """A folder with one file of 1 KiB; the folder."""
    www = folder / "www"
    (www / "files").mkdir(parents=True)
    (www / "files" / "1k.txt").write_text("k" * FILE_SIZE)
    # nginx's worker may not be its owner.
    for path in (folder, www, www / "files"):
        path.chmod(0o755)
    return www
