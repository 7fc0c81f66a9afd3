"""The secret behind the cookies that bind clients to servers: made once, kept in the state directory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from wsgate.errors import WsgateError

SIZE = 32


class StickyKeyError(WsgateError):
    """The key can neither be read nor made."""


def sticky_key(state_dir: Path) -> bytes:
    """The key of this installation.  Gateways that share clients share the file.  Raises StickyKeyError."""
    path = state_dir / "sticky.key"
    try:
        with contextlib.suppress(FileNotFoundError):
            return _checked(path, path.read_bytes())
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _made(path)
    except OSError as error:
        raise StickyKeyError(f"{path}: the key of sticky cookies cannot be kept: {error.strerror}") from None


def _checked(path: Path, key: bytes) -> bytes:
    if len(key) < SIZE:
        raise StickyKeyError(f"{path} has {len(key)} bytes, a key has {SIZE}: remove the file and a new one is made")
    return key


def _made(path: Path) -> bytes:
    """A new key; what another process made meanwhile counts more.  The file is whole as soon as it has its name."""
    key = os.urandom(SIZE)
    own = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(key)
        with contextlib.suppress(FileExistsError):
            os.link(own, path)
            return key
    finally:
        own.unlink()
    return _checked(path, path.read_bytes())
