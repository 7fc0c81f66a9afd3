"""``static = DIR``: files below a root, as they are at the moment of the request.

Nothing is scanned at the start and no absence is remembered, so that files added, changed or removed later are seen by
the next request.  What is kept is derived from a stat result (headers, entity tag) and used again while stat says the
same; so are small bodies, for a second (``wsgate.targets.ready``).

Looking up, opening and reading a file block the caller for as long as the disk takes: on a local disk microseconds.  A
root on a network file system that hangs makes the worker hang.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from whitenoise.media_types import MediaTypes

from wsgate.causes import Cause
from wsgate.targets.answer import Answer, FileBlocks, text_answer
from wsgate.targets.confined import Place, find, signature
from wsgate.targets.errors import error_answer
from wsgate.targets.fixed import slash_answer
from wsgate.targets.ready import ReadyAnswers
from wsgate.targets.representation import CONDITIONS, Part, Representation, accepted_codings

# Bytes of a body that is read at once, and needs no descriptor while it is sent.
_SMALL = 64 * 1024
# Files whose headers are kept; past that the oldest is forgotten.  About 2 kB each.
_KEPT = 1000
# A file is looked up again when it is replaced between stat and open; replaced this often in a row, it is given up.
_LOOKS = 4
# Codings by the suffix of the file that stands ready beside the plain one.
_SUFFIXES = {"": b"", "br": b".br", "gzip": b".gz"}
# What WhiteNoise's table (nginx's, in the main) lacks and web pages use.
_MORE_TYPES = {
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
}
# What looking up or opening may fail with; everything else is the gateway's own trouble.
_CAUSES = {
    **dict.fromkeys(
        (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ, errno.ENXIO), Cause.NO_ROUTE
    ),
    **dict.fromkeys((errno.EACCES, errno.EPERM), Cause.FORBIDDEN),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM), Cause.FULL),
}

# Under which path, and when, an answer is kept ready.
_Keep = tuple[str, float]
_Forms = dict[str, tuple[os.stat_result, Representation]]


class StaticSite:
    """The files below one root.

    A folder is answered by the first of its index files that exists, and asked for without its last slash by a redirect
    there.  No listing is made.  ``name.br`` and ``name.gz`` are sent instead of ``name`` to those who accept them,
    smallest first, unless they are older than it.  Names that begin with a dot do not exist for clients.  Symbolic
    links are followed where they end below the root.
    """

    __slots__ = ("_cache_control", "_index", "_kept", "_ready", "_root", "_types")

    def __init__(self, root: Path, index: tuple[str, ...], max_age: float) -> None:
        """``max_age`` is in seconds; 0 lets caches keep a file but makes them ask each time.

        The root need not exist yet.  Raises ValueError for an index that is no plain file name.
        """
        for name in index:
            if not name or "/" in name or "\0" in name or name in {".", ".."}:
                raise ValueError(f"{name}: an index is the name of a file, without a folder")
        self._root = os.fsencode(root)
        self._index = tuple(os.fsencode(name) for name in index)
        self._cache_control = f"max-age={int(max_age)}" if max_age >= 1 else "no-cache"
        self._types = MediaTypes(extra_types=_MORE_TYPES)
        self._ready = ReadyAnswers()
        self._kept: dict[tuple[bytes, ...], tuple[object, _Forms]] = {}

    def answer(
        self,
        method: str,
        path: str,
        fields: Iterable[tuple[bytes, bytes]],
        *,
        requested: bytes = b"",
        query: bytes = b"",
        now: float | None = None,
    ) -> Answer:
        """The answer for ``path``, which is decoded (bytes that are no UTF-8 as surrogate escapes) and normalised.

        ``fields`` are the request's headers.  ``requested`` and ``query`` are the client's own bytes, for the redirect
        to a folder.  ``requested`` is needed where the route cut a prefix off: a client that asked for ``/files`` must
        come to ``/files/`` before it reads relative links, though ``path`` is ``/``.  With ``now`` (monotonic seconds)
        small files are given from memory while they look the same.  Never raises OSError.
        """
        if method not in ("GET", "HEAD"):
            return error_answer(Cause.METHOD)
        conditions = _conditions(fields)
        is_plain = method == "GET" and len(conditions) == ("HTTP_ACCEPT_ENCODING" in conditions)
        if now is None or not is_plain or path[-1:] == "/":
            return self._look(method, path, conditions, requested, query)
        ready = self._ready.find(path, now)
        return ready or self._look(method, path, conditions, requested, query, (path, now))

    def _look(
        self,
        method: str,
        path: str,
        conditions: Mapping[str, str],
        requested: bytes,
        query: bytes,
        keep: _Keep | None = None,
    ) -> Answer:
        names = _names(path)
        if names is None:
            return error_answer(Cause.NO_ROUTE)
        try:
            if path.endswith("/") or not names:
                if requested and not requested.endswith(b"/") and self._is_folder(names):
                    return slash_answer(method, requested, query)
                found = self._index_file(names, method, conditions)
            else:
                found = self._file(names, method, conditions, keep)
                if found is None and self._is_folder(names):
                    requested = requested or quote(path.encode("utf-8", "surrogateescape")).encode("ascii")
                    return slash_answer(method, requested, query)
        except OSError as error:
            return error_answer(_CAUSES.get(error.errno or 0, Cause.INTERNAL))
        return found or error_answer(Cause.NO_ROUTE)

    def _index_file(self, names: tuple[bytes, ...], method: str, conditions: Mapping[str, str]) -> Answer | None:
        for index in self._index:
            try:
                found = self._file((*names, index), method, conditions)
            except FileNotFoundError:
                continue
            if found is not None:
                return found
        return None

    def _is_folder(self, names: tuple[bytes, ...]) -> bool:
        """A folder that would be answered; one without an index file is not told apart from nothing."""
        for index in self._index:
            try:
                with find(self._root, (*names, index)) as place:
                    if place.is_file:
                        return True
            except FileNotFoundError:
                continue
        return False

    def _file(
        self,
        names: tuple[bytes, ...],
        method: str,
        conditions: Mapping[str, str],
        keep: _Keep | None = None,
    ) -> Answer | None:
        """None where there is something, but no regular file.  Raises OSError."""
        for _ in range(_LOOKS):
            with find(self._root, names) as place:
                if not place.is_file:
                    return None
                forms = self._forms(names, place)
                coding = _choice(forms, conditions.get("HTTP_ACCEPT_ENCODING", ""))
                answer = _respond(place, coding, forms[coding], method, conditions)
                if keep is not None and answer is not None:
                    self._ready.keep(*keep, b"/".join((self._root, *names)), place, answer)
            if answer is not None:
                return answer
        return error_answer(Cause.INTERNAL)

    def _forms(self, names: tuple[bytes, ...], place: Place) -> _Forms:
        """The file and the codings of it that stand ready, by coding."""
        stats = {"": place.status}
        for coding in ("br", "gzip"):
            status = place.sibling(_SUFFIXES[coding])
            # In whole seconds, since archives keep no more of a time.
            if status is not None and int(status.st_mtime) >= int(place.status.st_mtime):
                stats[coding] = status
        now = {coding: signature(status) for coding, status in stats.items()}
        kept = self._kept.get(names)
        if kept is not None and kept[0] == now:
            return kept[1]
        headers = self._headers(names[-1], len(stats) > 1)
        forms = {coding: (status, Representation(status, coding, headers)) for coding, status in stats.items()}
        self._kept.pop(names, None)
        if len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[names] = (now, forms)
        return forms

    def _headers(self, name: bytes, varies: bool) -> list[tuple[str, str]]:
        media_type = self._types.get_type(name.decode("utf-8", "surrogateescape"))
        if media_type.startswith("text/"):
            media_type += "; charset=utf-8"
        headers = [("Content-Type", media_type), ("Cache-Control", self._cache_control)]
        return [*headers, ("Vary", "Accept-Encoding")] if varies else headers


def _names(path: str) -> tuple[bytes, ...] | None:
    """The names between the slashes; None where no client may know of such a file.

    Dot files are left out as a whole, and with them ``.`` and ``..``.
    """
    try:
        raw = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    inner = raw.removeprefix(b"/").removesuffix(b"/")
    if b"\0" in inner:
        return None
    names = tuple(inner.split(b"/")) if inner else ()
    return None if any(not name or name.startswith(b".") for name in names) else names


def _conditions(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The fields that matter here; several of one name are one list (RFC 9110 section 5.3)."""
    conditions: dict[str, str] = {}
    for name, value in fields:
        key = CONDITIONS.get(name.lower())
        if key is not None:
            text = value.decode("latin-1")
            conditions[key] = f"{conditions[key]}, {text}" if key in conditions else text
    return conditions


def _choice(forms: _Forms, accept_encoding: str) -> str:
    """The coding with the fewest bytes among those accepted."""
    if len(forms) == 1 or not accept_encoding:
        return ""
    accepted = accepted_codings(accept_encoding)
    return min((coding for coding in forms if not coding or coding in accepted), key=lambda c: forms[c][0].st_size)


def _respond(
    place: Place,
    coding: str,
    form: tuple[os.stat_result, Representation],
    method: str,
    conditions: Mapping[str, str],
) -> Answer | None:
    """None where the file is another one by now.  Raises OSError."""
    expected, representation = form
    suffix = _SUFFIXES[coding]
    status, lines, part = representation.respond(method, conditions)
    body: bytes | FileBlocks | None = None
    if method == "GET" and status in (200, 206):
        body = _body(place, suffix, expected, part)
        if body is None:
            return None
    elif not place.readable(suffix):
        return error_answer(Cause.FORBIDDEN)
    if status == 416:
        row = Cause.RANGE.value
        return text_answer(row.status, row.text + "\n", lines)
    if status == 412:
        return text_answer(status, "precondition failed\n")
    return Answer(status, lines, body)


def _body(place: Place, suffix: bytes, expected: os.stat_result, part: Part) -> bytes | FileBlocks | None:
    """What is sent of a file; None where it is another one by now.  Raises OSError."""
    if part.length <= _SMALL:
        return place.read(suffix, expected, part.offset, part.length)
    file = place.open(suffix, expected)
    return FileBlocks(file, part.offset, part.length) if file is not None else None
