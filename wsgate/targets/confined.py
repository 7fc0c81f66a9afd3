"""Finding a file below a root without ever leaving it, also while others change the tree.

The path is walked one folder after the other, each opened relative to the one before and none through a symbolic link:
what was found stays found, whatever is renamed meanwhile.  Links are followed only where they end below the root: the
path is then resolved as a whole, compared with the resolved root, and walked again.  The root itself may be a link,
looked up anew each time, so that a new release can be put in its place.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from io import FileIO

# O_PATH asks for permission to search a folder, not to list it; systems without it need both.
_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
# Without O_NONBLOCK opening a fifo would wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NOT_FOLLOWED = (errno.ENOTDIR, errno.ELOOP)


class Place:
    """A name in an open folder and what stat said of it; to be closed."""

    __slots__ = ("_folder", "_name", "status")

    def __init__(self, folder: int, name: bytes) -> None:
        """Takes the descriptor ``folder`` over, also when OSError is raised because the name does not exist."""
        self._folder = folder
        self._name = name
        try:
            self.status = self._stat(name)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the folder back."""
        os.close(self._folder)

    @property
    def is_file(self) -> bool:
        """A regular file: no folder, fifo, socket, device or link."""
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    def sibling(self, suffix: bytes) -> os.stat_result | None:
        """The regular file beside this one whose name is longer by ``suffix``, if there is one."""
        try:
            status = self._stat(self._name + suffix)
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def readable(self, suffix: bytes) -> bool:
        """May the process read the file?  Answered without opening it."""
        return os.access(self._name + suffix, os.R_OK, dir_fd=self._folder, effective_ids=True)

    def open(self, suffix: bytes, expected: os.stat_result) -> FileIO | None:
        """The file or its sibling; None where it is no longer the one of ``expected``.  Raises OSError."""
        descriptor = os.open(self._name + suffix, _FILE, dir_fd=self._folder)
        file = FileIO(descriptor)
        if signature(os.fstat(descriptor)) == signature(expected):
            return file
        file.close()
        return None

    def read(self, suffix: bytes, expected: os.stat_result, offset: int, length: int) -> bytes | None:
        """A part of the file or its sibling, ``length`` bytes from ``offset``.

        None where it is no longer the one of ``expected``, or is cut meanwhile.  Raises OSError.
        """
        descriptor = os.open(self._name + suffix, _FILE, dir_fd=self._folder)
        try:
            if signature(os.fstat(descriptor)) != signature(expected):
                return None
            part = os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
        return part if len(part) == length else None

    def _stat(self, name: bytes) -> os.stat_result:
        return os.stat(name, dir_fd=self._folder, follow_symlinks=False)


def signature(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """Equal for two looks at the same file, unless it was changed between them."""
    return status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns


def find(root: bytes, names: Sequence[bytes]) -> Place:
    """The place that ``names``, one for each folder and the last, lead to from ``root``; no names lead to the root.

    The names must not hold ``/``, NUL, or be ``.`` or ``..``.  Raises OSError where nothing is there, the process may
    not look, or a link leads out of the root.
    """
    try:
        place = _walk(root, names)
    except OSError as error:
        if error.errno not in _NOT_FOLLOWED:
            raise
    else:
        if not stat.S_ISLNK(place.status.st_mode):
            return place
        place.close()
    return _walk(root, _resolved(root, names))


def _walk(root: bytes, names: Sequence[bytes]) -> Place:
    folder = os.open(root, _FOLDER)
    try:
        for name in names[:-1]:
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
    except OSError:
        os.close(folder)
        raise
    return Place(folder, names[-1] if names else b".")


def _resolved(root: bytes, names: Sequence[bytes]) -> list[bytes]:
    base = os.path.realpath(root, strict=True).rstrip(b"/") + b"/"
    target = os.path.realpath(os.path.join(root, *names), strict=True)
    if target.rstrip(b"/") + b"/" == base:
        return []
    if not target.startswith(base):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), target)
    return target[len(base) :].split(b"/")
