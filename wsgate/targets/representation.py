"""One file in one coding, and which answer the conditions and ranges of a request get from it.

WhiteNoise's responder decides; what it leaves out of RFC 9110 is put right here: it knows one entity tag in
If-None-Match and no If-Match, If-Unmodified-Since or If-Range, refuses a range of one byte, takes ``bytes=-0`` for the
whole file, and answers ranges to HEAD.  It never opens a file here, since it would do so by path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from email.utils import parsedate
from http import HTTPStatus
from typing import Any, NamedTuple

from whitenoise.responders import Response, StaticFile

from wsgate.targets.answer import Headers

# The fields that a responder reads, by the names that WhiteNoise knows from WSGI.
CONDITIONS = {
    name: "HTTP_" + name.decode("ascii").upper().replace("-", "_")
    for name in (
        b"accept-encoding",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
    )
}
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})", re.IGNORECASE)
_TAGS = re.compile(r'(W/)?("[^"]*")')
_CODING = re.compile(r"([!#$%&'*+.^_`|~0-9a-z-]+)(?:\s*;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?))?")
# The last second of the year 9999; HTTP dates have four digits for the year, and file systems take any number.
_LATEST = 253_402_300_799


class Part(NamedTuple):
    """What of the file is to be sent, in bytes."""

    offset: int
    length: int


class _Status(NamedTuple):
    """What WhiteNoise reads of a stat result."""

    st_mode: int
    st_size: int
    st_mtime: float


class Representation(StaticFile):  # type: ignore[misc]  # WhiteNoise has no types
    """A file as it is sent with one coding; made from its stat result, it holds no descriptor."""

    def __init__(self, status: os.stat_result, coding: str, headers: list[tuple[str, str]]) -> None:
        """``coding`` is the Content-Encoding or empty; ``headers`` are those that do not come from the stat result.

        The entity tag has nanoseconds and the coding: two codings of a file are different bytes.
        """
        self.size = status.st_size
        mtime = status.st_mtime if 0 < status.st_mtime <= _LATEST else 0
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}{coding and "-" + coding}"'
        own = [("Accept-Ranges", "bytes"), ("ETag", tag)]
        if coding:
            own.append(("Content-Encoding", coding))
        stats = {"": _Status(status.st_mode, status.st_size, mtime)}
        super().__init__("", [*headers, *own], stat_cache=stats)
        # Most requests set no condition, and get the same as each other.
        self._plain = self._answer({})

    def respond(self, method: str, conditions: Mapping[str, str]) -> tuple[int, Headers, Part]:
        """Status, headers and what to send for GET or HEAD; ``conditions`` has the request's fields of `CONDITIONS`.

        The part means something for 200 and 206 only.
        """
        if len(conditions) == ("HTTP_ACCEPT_ENCODING" in conditions):
            return self._plain
        if self._precondition_failed(conditions):
            return HTTPStatus.PRECONDITION_FAILED, [], Part(0, 0)
        fields = dict(conditions)
        if method != "GET" or not self._range_is_wanted(conditions):
            fields.pop("HTTP_RANGE", None)
        return self._answer(fields)

    def _answer(self, fields: Mapping[str, str]) -> tuple[int, Headers, Part]:
        # Asked as HEAD it opens no file.
        response = self.get_response("HEAD", fields)
        headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in response.headers]
        return response.status, headers, response.file or Part(0, self.size)

    def is_not_modified(self, request_headers: Mapping[str, str]) -> bool:
        """RFC 9110 section 13.1.2 (weak comparison of any number of tags) before 13.1.3."""
        tags = request_headers.get("HTTP_IF_NONE_MATCH")
        if tags is not None:
            return tags.strip() == "*" or any(tag == self.etag for _, tag in _TAGS.findall(tags))
        since = _date(request_headers.get("HTTP_IF_MODIFIED_SINCE"))
        return since is not None and self.last_modified is not None and since >= self.last_modified[:6]

    def get_byte_range(self, range_header: str, size: int) -> tuple[int, int]:
        """First and last position (RFC 9110 section 14.1.2); first behind last where there is nothing to send.

        Raises ValueError for several ranges and other units, which are ignored (section 14.2 allows the first and asks
        for the second).
        """
        bounds = _RANGE.fullmatch(range_header.strip())
        if bounds is None or bounds[0].endswith("=-"):
            raise ValueError(range_header)
        if not bounds[1]:
            suffix = int(bounds[2])
            return (max(0, size - suffix), size - 1) if suffix else (size, size - 1)
        return int(bounds[1]), min(int(bounds[2]) if bounds[2] else size - 1, size - 1)

    def get_range_response(self, range_header: str, base_headers: list[tuple[str, str]], file_handle: Any) -> Response:
        """206 with its `Part` in the place of the file, or 416."""
        first, last = self.get_byte_range(range_header, self.size)
        if first > last:
            return self.get_range_not_satisfiable_response(file_handle, self.size)
        part = Part(first, last - first + 1)
        headers = [(name, value) for name, value in base_headers if name != "Content-Length"]
        headers.append(("Content-Range", f"bytes {first}-{last}/{self.size}"))
        headers.append(("Content-Length", str(part.length)))
        return Response(HTTPStatus.PARTIAL_CONTENT, headers, part)

    def _precondition_failed(self, conditions: Mapping[str, str]) -> bool:
        """RFC 9110 section 13.1.1 (strong comparison) before 13.1.4."""
        tags = conditions.get("HTTP_IF_MATCH")
        if tags is not None:
            return tags.strip() != "*" and not any(tag == self.etag and not weak for weak, tag in _TAGS.findall(tags))
        since = _date(conditions.get("HTTP_IF_UNMODIFIED_SINCE"))
        return since is not None and self.last_modified is not None and since < self.last_modified[:6]

    def _range_is_wanted(self, conditions: Mapping[str, str]) -> bool:
        """RFC 9110 section 13.1.5: the whole file unless the client's part is of exactly this one."""
        known = conditions.get("HTTP_IF_RANGE")
        if known is None or known.strip() == self.etag:
            return True
        return self.last_modified is not None and _date(known) == self.last_modified[:6]


def accepted_codings(field: str) -> frozenset[str]:
    """The codings that an Accept-Encoding asks for by name with a weight above 0 (RFC 9110 section 12.5.3).

    ``*`` is not taken as asking for a coding: the plain file is what such a client surely can read.
    """
    codings = set()
    for item in field.lower().split(","):
        parts = _CODING.fullmatch(item.strip())
        if parts is not None and (parts[2] is None or float(parts[2]) > 0):
            codings.add(parts[1].removeprefix("x-"))
    return frozenset(codings)


def _date(text: str | None) -> tuple[int, ...] | None:
    """Year to second of an HTTP date; None for what is none, which counts as absent (RFC 9110 section 13.1.3)."""
    fields = parsedate(text) if text is not None else None
    return fields[:6] if fields is not None else None
