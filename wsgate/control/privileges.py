"""Giving up root: what is handed to the next user before, and what cannot be done afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_REASON = (
    "the gateway has given up root since its start, so that it cannot bind new ports below 1024 nor read files of root"
    " alone: start it anew, or see Reload in docs/operations.rst"
)


class Privileges:
    """Made when the process binds: remembers whether it was root then."""

    __slots__ = ("_geteuid", "_was_root")

    def __init__(self, geteuid: Callable[[], int] = os.geteuid) -> None:
        self._geteuid = geteuid
        self._was_root = geteuid() == 0

    def explain(self, error: str) -> str:
        """``error``, and the reason where it is that we are no longer root."""
        denied = os.strerror(13) in error
        return f"{error}\n{_REASON}" if denied and self._was_root and self._geteuid() != 0 else error


def lay_out(path: Path, mode: int) -> None:
    """Make an empty file where there is none, so that it can be given away; where that fails, opening it tells why."""
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))


def give_away(paths: Iterable[Path], uid: int, gid: int) -> None:
    """Make files and directories, with all that is in them, those of another user; links are not followed."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            for _, folders, files, descriptor in os.fwalk(path):
                os.fchown(descriptor, uid, gid)
                for name in (*folders, *files):
                    os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
        elif path.is_file() and not path.is_symlink():
            os.chown(path, uid, gid, follow_symlinks=False)
