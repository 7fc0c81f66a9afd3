"""Parsers of what a route says about paths and answers: path patterns, rewrites, redirects, fixed responses."""

from __future__ import annotations

import re

from wsgate.config.model import PathKind, PathPattern, RedirectTarget, RespondTarget
from wsgate.config.values import BadValue

_PATTERN = "expected a path such as /chat, = /exact, ^~ /first, ~ ^/room/[0-9]+$ or ~* \\.png$"
_REDIRECT = "expected [STATUS] URL such as 301 https://$host$path$query, with 301, 302, 303, 307 or 308"
_RESPOND = "expected STATUS [TEXT] such as 404 or 503 Back at noon"
# Where a redirect leads is the operator's word: the client's path or query must not be able to become its host.
_URL = re.compile(r"(?:https?://(?:[!\"%-.0->@-\[\]-~]|\$host\b)+(?=[/?#$]|\Z)|/(?!/)|\$path\b)[!-~]*")
_BODYLESS = (204, 205, 304)  # RFC 9110 sections 15.3.5, 15.3.6, 15.4.5


def path_pattern(text: str) -> PathPattern:
    """One of nginx's kinds of location.  The path of a request is decoded and normalised before it is compared, so
    what could never be equal to such a path is refused."""
    modifier, _, rest = text.partition(" ")
    if modifier not in ("=", "^~", "~", "~*"):
        return PathPattern(PathKind.PREFIX, _path(text, _PATTERN))
    kind, rest = PathKind(modifier), rest.strip()
    if kind not in (PathKind.REGEX, PathKind.REGEX_CASELESS):
        return PathPattern(kind, _path(rest, _PATTERN))
    if not rest:
        raise BadValue(_PATTERN)
    try:
        flags = re.IGNORECASE if kind is PathKind.REGEX_CASELESS else re.NOFLAG
        return PathPattern(kind, rest, re.compile(rest, flags))
    except (re.error, OverflowError, RecursionError) as error:
        raise BadValue(f"not a regular expression of Python: {error}") from None


def rewrite(text: str) -> str:
    """The path that replaces the part which the route's pattern matched; what comes out is escaped again."""
    return _path(text, "expected a path such as /api/v2/")


def _path(text: str, expected: str) -> str:
    """A path as requests have it once they are decoded and normalised."""
    if not text.startswith("/"):
        raise BadValue(expected)
    if "?" in text or "#" in text:
        raise BadValue("a path has no ? and no #: the query is not a part of it")
    if re.search(r"%[0-9A-Fa-f]{2}", text):
        raise BadValue("a path is written decoded here: the character itself, é and not %C3%A9")
    if "//" in text or re.search(r"/\.{1,2}(;[^/]*)?(/|$)", text):
        raise BadValue("a path is written normalised here: without //, /./ and /../")
    return text


def redirect(text: str) -> RedirectTarget:
    """``[STATUS] URL``; the status is 302 where it is left out."""
    words = text.split()
    status = words.pop(0) if words and words[0].isdigit() else "302"
    if len(words) != 1 or status not in ("301", "302", "303", "307", "308"):
        raise BadValue(_REDIRECT)
    url = words[0]
    for name in re.findall(r"\$(\w*)", url):
        if name not in ("host", "path", "query"):
            raise BadValue(f"unknown ${name}: there are $host, $path and $query")
    if not _URL.fullmatch(url):
        raise BadValue(f"{_REDIRECT}; the URL begins with http:// or https:// and a host, with one / or with $path")
    return RedirectTarget(int(status), url)


def respond(text: str) -> RespondTarget:
    """``STATUS [TEXT]``; the status is a final one (RFC 9110 section 15)."""
    status, _, body = text.partition(" ")
    if not re.fullmatch(r"[2-5][0-9]{2}", status):
        raise BadValue(f"{_RESPOND}; the status is 200 to 599")
    if body and int(status) in _BODYLESS:
        raise BadValue(f"an answer {status} has no text")
    return RespondTarget(int(status), body.strip())
