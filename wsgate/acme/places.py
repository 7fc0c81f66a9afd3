"""Where ACME keeps things below the state directory, and the answers that every worker reads there.

An answer is a small file: written before the authority is told, it is there for all workers at once, whichever of them
the authority reaches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wsgate.tls.files import put_in_place

#: Where an authority asks for an answer to http-01 (RFC 8555 section 8.3).
WELL_KNOWN = b"/.well-known/acme-challenge/"

#: The protocol of tls-alpn-01 (RFC 8737 section 6.2); nobody else offers it, and nothing is said behind the handshake.
ACME_TLS = b"acme-tls/1"

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
_NAME = re.compile(r"[a-z0-9.-]{1,253}")


class AcmePlaces:
    """The files of ACME below ``state_dir``."""

    __slots__ = ("folder",)

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / "acme"

    @property
    def account(self) -> Path:
        """The key and the address of the account."""
        return self.folder / "account.json"

    def certificate(self, section: str) -> Path:
        """Key and chain of a section in one file, so that nobody ever sees one without the other."""
        return self.folder / f"{section}.pem"

    def state(self, section: str) -> Path:
        """When to renew, and what went wrong."""
        return self.folder / f"{section}.json"

    def token(self, token: str) -> Path:
        """The answer to an http-01 challenge.  Raises ValueError for what is no token."""
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"not a token: {token!r}")
        return self.folder / "answers" / token

    def name(self, name: str) -> Path:
        """The certificate that answers a tls-alpn-01 challenge.  Raises ValueError for what is no host name."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a host name: {name!r}")
        return self.folder / "answers" / f"{name}.alpn.pem"

    def answer(self, path: bytes) -> bytes:
        """What an authority that asks for ``path`` is told; empty where that is no question, or nobody asked for it."""
        token = path.removeprefix(WELL_KNOWN).decode("latin-1")
        if not path.startswith(WELL_KNOWN) or not _TOKEN.fullmatch(token):
            return b""
        with suppress(OSError):
            return self.token(token).read_bytes()
        return b""

    def make(self) -> None:
        """Make the folders; nobody else may look into them."""
        for folder in (self.folder, self.folder / "answers"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    def write(self, path: Path, data: bytes) -> None:
        """Put a file in place at once, for its owner alone."""
        put_in_place(path, data, 0o600)

    def write_json(self, path: Path, facts: Mapping[str, Any]) -> None:
        """``write`` of facts."""
        self.write(path, json.dumps(facts, indent=1).encode())

    def read_json(self, path: Path) -> dict[str, Any]:
        """What ``write_json`` wrote; nothing where it is not there or cannot be read."""
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
