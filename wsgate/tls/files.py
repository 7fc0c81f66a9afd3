"""Files that others read while they are written."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def put_in_place(path: Path, data: bytes, mode: int) -> None:
    """Write a file with the permissions ``mode``, at once: whoever reads sees the old one or the new one, whole.

    Raises OSError.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    os.replace(draft, path)
