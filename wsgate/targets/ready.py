"""Small files that are asked for again and again: read once a second at most, and looked at for each request.

Opening a file below a root without ever leaving it costs a dozen system calls.  What was found is kept for a second and
given again as long as the file and its folder look the same: two calls.  A file that is changed, replaced or removed,
or that comes to lie beside it in another coding, is seen by the next request, as without this; only a change that stat
cannot tell from the one before, within the few milliseconds of a file system's clock, is seen a second later.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from wsgate.targets.answer import Answer
from wsgate.targets.confined import Place, signature

KEPT_FOR = 1.0
"""Seconds; a folder on the way that becomes a link out of the root is noticed after so long."""

LARGEST = 16 * 1024
"""Bytes of a body that is kept."""

CODED = (b".br", b".gz")
"""What ends the names of files that hold the same in another coding."""

MOST = 256
"""Answers that are kept, each with its body; when there are more, all are forgotten and it begins anew."""

_Look = tuple[int, int, int, int, int]


class _Ready(NamedTuple):
    answer: Answer
    until: float
    file: bytes
    folder: bytes
    file_look: _Look
    folder_look: _Look


class ReadyAnswers:
    """Answers of one site to GET without conditions, by path.  ``now`` is monotonic, in seconds."""

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: dict[str, _Ready] = {}

    def find(self, path: str, now: float) -> Answer | None:
        """The answer, if it is still the one that looking anew would give."""
        ready = self._ready.get(path)
        if ready is None:
            return None
        try:
            if (
                now < ready.until
                and signature(os.stat(ready.file, follow_symlinks=False)) == ready.file_look
                and signature(os.stat(ready.folder)) == ready.folder_look
            ):
                return ready.answer
        except OSError:
            pass
        del self._ready[path]
        return None

    def keep(self, path: str, now: float, file: bytes, place: Place, answer: Answer) -> None:
        """Keep ``answer``, made of ``place``, which lies at ``file``, if it is whole and small and there is no other.

        What was reached by a link at its end is not kept, nor what lies there in several codings.
        """
        if answer.status != 200 or not isinstance(answer.body, bytes) or len(answer.body) > LARGEST:
            return
        folder = os.path.dirname(file)
        try:
            folder_look = signature(os.stat(folder))
            file_look = signature(os.stat(file, follow_symlinks=False))
        except OSError:
            return
        if file_look != signature(place.status) or any(place.sibling(suffix) for suffix in CODED):
            return
        if len(self._ready) >= MOST:
            self._ready.clear()
        self._ready[path] = _Ready(answer, now + KEPT_FOR, file, folder, file_look, folder_look)
