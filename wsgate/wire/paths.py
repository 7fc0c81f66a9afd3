"""Paths of requests: one reading for the route, the files and the server behind (RFC 3986 section 3.3).

A path that the gateway and a server could read differently opens what a route should guard, so it is refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from wsgate.causes import Cause
from wsgate.wire.fields import HeadError

# Anything that makes a path more than its own bytes: escapes, and what may be a dot segment or an empty one.
_ODD = re.compile(rb"[^!-~]|[#%\\]|/[./]")
_NOT_VISIBLE = re.compile(rb"[^!-~]|#")
# What cannot be in a target at all, half escapes, and escaped controls and backslashes: a NUL ends a string and a
# backslash is a slash for some servers, and a line end slips past regular expressions that end in "$".
_REFUSED = re.compile(rb"[^!-~]|[#\\]|%(?:[01][0-9A-Fa-f]|7[Ff]|5[Cc]|(?![0-9A-Fa-f]{2}))")
_ENCODED_SLASH = re.compile(rb"%2[Ff]")
_SLASHES = re.compile(r"//+")
_DOTS = (".", "..")
_RAW_DOTS = (b".", b"..")
_TO_ESCAPE = re.compile(rb"[^A-Za-z0-9\-._~!$&'()*+,;=:@/]")


class Target(NamedTuple):
    """What a request asks for.

    ``path`` is for matching: decoded once, dot segments resolved, slashes merged.  ``raw_path`` is what goes on to the
    server: the client's bytes, with dot segments resolved where there were any.  ``tail`` is the query with its "?".
    ``encoded_slash`` says that ``path`` holds a slash that came as ``%2F``; the route decides about it.
    """

    path: str
    raw_path: bytes
    tail: bytes
    encoded_slash: bool

    @property
    def query(self) -> bytes:
        """The query without its "?"."""
        return self.tail[1:]

    @property
    def origin_form(self) -> bytes:
        """The request target to send on."""
        return self.raw_path + self.tail


def parse_target(target: bytes) -> Target:
    """Read a target in origin-form, or ``*``; raises HeadError (BAD_REQUEST) where it has two readings."""
    raw = target.partition(b"?")[0]
    tail = target[len(raw) :]
    if tail and _NOT_VISIBLE.search(tail):
        raise HeadError(Cause.BAD_REQUEST, "the query holds what cannot be in a target")
    if raw[:1] != b"/":
        if target == b"*":
            return Target("*", target, b"", False)
        raise HeadError(Cause.BAD_REQUEST, "the target is not a path")
    if _ODD.search(raw) is None:
        return Target(raw.decode("ascii"), raw, tail, False)
    if _REFUSED.search(raw):
        raise HeadError(Cause.BAD_REQUEST, "the path holds what is not allowed there")
    encoded_slash = _ENCODED_SLASH.search(raw) is not None
    segments = raw.split(b"/")[1:]
    plain_dots = sum(segment in _RAW_DOTS for segment in segments)
    path = _decoded(raw)
    if plain_dots != sum(segment.partition(";")[0] in _DOTS for segment in path.split("/")):
        raise HeadError(Cause.BAD_REQUEST, "a hidden dot segment")
    if plain_dots:
        if encoded_slash:
            raise HeadError(Cause.BAD_REQUEST, "dot segments beside an encoded slash")
        raw = _resolved(segments)
        path = _decoded(raw)
    return Target(_SLASHES.sub("/", path), raw, tail, encoded_slash)


def _decoded(raw: bytes) -> str:
    """Decode once; bytes that are not UTF-8 are read by each server in its own way, overlong dots among them."""
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise HeadError(Cause.BAD_REQUEST, "the path is not UTF-8") from None


def _resolved(segments: list[bytes]) -> bytes:
    """Resolve dot segments as nginx does: empty segments are merged first, and nothing lies above the root."""
    kept: list[bytes] = []
    directory = False
    for segment in segments:
        directory = segment in (b"", b".", b"..")
        if segment == b"..":
            if not kept:
                raise HeadError(Cause.BAD_REQUEST, "a path above the root")
            kept.pop()
        elif not directory:
            kept.append(segment)
    return b"/" + b"/".join(kept) + (b"/" if directory and kept else b"")


def rewrite_path(path: str, matched: str, replacement: str) -> bytes:
    """The raw path to send on where ``replacement`` takes the place of ``matched``, the prefix that chose the route.

    It is nginx's rule for a proxy_pass with a URI: the normalised path is rewritten, and escaped again.  ``path`` may
    lack the slash at the end of ``matched``.  Raises HeadError (BAD_REQUEST) where a dot segment would come up, as
    with ``/app../x`` under the prefix ``/app``.
    """
    result = replacement + path[len(matched) :]
    if result[:1] != "/":
        result = "/" + result
    if any(segment.partition(";")[0] in _DOTS for segment in result.split("/")):
        raise HeadError(Cause.BAD_REQUEST, "a dot segment behind the route's prefix")
    return _TO_ESCAPE.sub(_escaped, result.encode("utf-8"))


def strip_prefix(path: str, matched: str) -> bytes:
    """The raw path to send on without ``matched``, the prefix that chose the route; see `rewrite_path`."""
    return rewrite_path(path, matched, "")


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]
