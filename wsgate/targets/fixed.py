"""Targets that need no server and no file: ``redirect`` and ``respond``, and the redirect to a last slash."""

from __future__ import annotations

import re
from urllib.parse import quote

from wsgate.causes import Cause
from wsgate.config.model import RedirectTarget, RespondTarget
from wsgate.targets.answer import Answer, Headers, text_answer
from wsgate.targets.errors import error_answer

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

_VARIABLE = re.compile(r"\$(host|path|query)\b")
_UNKNOWN = re.compile(r"\$(?!(?:host|path|query)\b)\w*")
# Where a redirect leads must be the operator's word: a path, or a host that is written out or the request's own.
_ROOTED = re.compile(r"/(?!/)|\$path\b")
_ABSOLUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#\s$\\]|\$host\b)+(?=[/?#]|\$|\Z)")
# RFC 3986 sections 3.3 and 3.4, with "%" since the client's bytes are encoded already.
_NOT_IN_PATH = re.compile(rb"[^A-Za-z0-9_.~!$&'()*+,;=:@%/-]")
_NOT_IN_QUERY = re.compile(rb"[^A-Za-z0-9_.~!$&'()*+,;=:@%/?-]")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_ADDRESS = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")


class Redirect:
    """``redirect = [STATUS] URL``: ``$host``, ``$path`` and ``$query`` are the request's.

    ``$host`` is the host without its port; ``$path`` the path as the client sent it; ``$query`` the query with the
    ``?`` in front, or nothing, and where a ``?`` stands before it in the URL, the query alone.
    """

    __slots__ = ("_parts", "_rooted", "_status")

    def __init__(self, target: RedirectTarget) -> None:
        """Raises ValueError for a status that is no redirect and a URL that the client could turn elsewhere."""
        if target.status not in REDIRECT_STATUSES:
            raise ValueError(f"{target.status}: expected one of 301, 302, 303, 307, 308")
        self._status = target.status
        self._rooted = _ROOTED.match(target.location) is not None
        if not self._rooted and _ABSOLUTE.match(target.location) is None:
            raise ValueError(f"{target.location}: expected a path or a URL with its host, such as https://$host$path")
        if any(ord(character) <= 32 or ord(character) == 127 for character in target.location):
            raise ValueError(f"{target.location}: a URL has no spaces and no control characters")
        unknown = _UNKNOWN.search(target.location)
        if unknown is not None:
            raise ValueError(f"{unknown[0]}: expected one of $host, $path, $query")
        # Alternately literal text and the name of a variable.
        self._parts = _VARIABLE.split(target.location)

    def answer(self, host: str, path: bytes, query: bytes) -> Answer:
        """The redirect of one request; 400 where ``$host`` is needed and there is none.

        ``host`` has no port and no brackets; ``path`` and ``query`` (without ``?``) are the client's bytes.
        """
        location = b""
        for index, part in enumerate(self._parts):
            if index % 2 == 0:
                location += quote(part, safe="/!$&'()*+,;=:@?#[]%~").encode("ascii")
            elif part == "host":
                if _NAME.fullmatch(host):
                    location += host.encode("ascii")
                elif _ADDRESS.fullmatch(host):
                    location += b"[%s]" % host.encode("ascii")
                else:
                    return error_answer(Cause.BAD_REQUEST)
            elif part == "path":
                # A browser reads "//name" and "/\name" as another host: one slash, and no backslash left.
                location += b"/" + _NOT_IN_PATH.sub(_encoded, path).lstrip(b"/")
            else:
                location = _with_query(location, query)
        if self._rooted:
            location = b"/" + location.lstrip(b"/")
        return _redirect(self._status, location)


class Respond:
    """``respond = STATUS [TEXT]``."""

    __slots__ = ("_answer",)

    def __init__(self, target: RespondTarget) -> None:
        self._answer = text_answer(target.status, target.text)

    def answer(self) -> Answer:
        """The same for every request."""
        return self._answer


def slash_answer(method: str, path: bytes, query: bytes) -> Answer:
    """Send the client from ``path`` (its own bytes) to the same path with a slash behind.

    301 as nginx does it, but 308 for methods with a body, which a 301 may turn into GET (RFC 9110 section 15.4.2).  The
    Location is relative to the last segment (RFC 3986 section 4.2): it cannot lead to another host, and stays right
    behind a proxy that cuts a prefix off.  "./" keeps a colon in the segment from reading as a scheme.
    """
    segment = _NOT_IN_PATH.sub(_encoded, path.rpartition(b"/")[2])
    status = 301 if method in ("GET", "HEAD") else 308
    return _redirect(status, _with_query(b"./" + segment + b"/", query))


def _redirect(status: int, location: bytes) -> Answer:
    headers: Headers = [(b"Location", location), (b"Content-Length", b"0")]
    return Answer(status, headers, b"")


def _with_query(location: bytes, query: bytes) -> bytes:
    if b"?" in location:
        return location + _NOT_IN_QUERY.sub(_encoded, query) if query else location.rstrip(b"?&")
    return location + b"?" + _NOT_IN_QUERY.sub(_encoded, query) if query else location


def _encoded(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]
