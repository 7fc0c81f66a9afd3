"""Path patterns, rewrites, redirects and fixed responses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.config import locations
from wsgate.config.model import PathKind, PathPattern, RedirectTarget, RespondTarget
from wsgate.config.values import BadValue
from wsgate.targets.fixed import Redirect

URLS = st.from_regex(
    r"(https?://([a-z.:]|\$host){1,6}(?=[/$?]|\Z)|/(?!/)|\$path\b)(\$(path|query)\b|[a-z/?#%!;]){0,6}", fullmatch=True
).filter(
    lambda url: "\n" not in url and "$host" not in url.replace("$host", "", 9) and not re.search(r"\$host[a-z]", url)
)
PLAIN_KINDS = st.sampled_from([PathKind.EXACT, PathKind.PREFIX, PathKind.PREFIX_FIRST])
PLAIN_PATHS = st.lists(st.from_regex(r"[a-zé]([a-z .é]{0,6}[a-z])?", fullmatch=True)).map(lambda s: "/" + "/".join(s))
PATTERNS = st.builds(PathPattern, PLAIN_KINDS, PLAIN_PATHS)


@given(PATTERNS)
def test_a_pattern_is_read_back(pattern: PathPattern) -> None:
    assert locations.path_pattern(str(pattern)) == pattern


@pytest.mark.parametrize(("text", "kind"), [("~ ^/Room/$", PathKind.REGEX), ("~* ^/Room/$", PathKind.REGEX_CASELESS)])
def test_a_regular_expression_is_compiled_and_read_back(text: str, kind: PathKind) -> None:
    pattern = locations.path_pattern(text)
    assert (pattern.kind, pattern.text, str(pattern)) == (kind, "^/Room/$", text)
    assert pattern.regex is not None
    assert bool(pattern.regex.search("/room/")) is (kind is PathKind.REGEX_CASELESS)
    assert locations.path_pattern(str(pattern)) == pattern


def test_modifiers_may_have_several_blanks_behind_them() -> None:
    assert locations.path_pattern("=   /x") == PathPattern(PathKind.EXACT, "/x")
    assert locations.path_pattern("~   x y") == PathPattern(PathKind.REGEX, "x y", re.compile("x y"))


@given(st.sampled_from([301, 302, 303, 307, 308]), URLS)
def test_a_redirect_is_read_back(status: int, url: str) -> None:
    target = locations.redirect(f"{status} {url}")
    assert target == RedirectTarget(status, url)
    assert Redirect(target).answer("example.org", b"/x", b"q").status == status


@given(
    st.integers(200, 599).filter(lambda status: status not in (204, 205, 304)), st.text(alphabet="ab; é").map(str.strip)
)
def test_a_response_is_read_back(status: int, text: str) -> None:
    assert locations.respond(f"{status} {text}".strip()) == RespondTarget(status, text)


def test_a_redirect_is_temporary_unless_said_otherwise() -> None:
    assert locations.redirect("/new") == RedirectTarget(302, "/new")
    assert locations.redirect("$path$query") == RedirectTarget(302, "$path$query")


def test_a_rewrite_is_a_path() -> None:
    assert locations.rewrite("/") == "/"
    assert locations.rewrite("/v2/é b%") == "/v2/é b%"


BAD: list[tuple[Callable[[str], Any], list[str], str]] = [
    (
        locations.path_pattern,
        ["", "chat", "=/x", "=", "^~", "= chat", "^~ chat", "~", "~*", "~/x", "! /x"],
        "/chat, = /exact",
    ),
    (locations.path_pattern, ["/a?b", "= /a#b"], "the query is not a part"),
    (locations.path_pattern, ["/%41", "^~ /caf%c3%a9"], "written decoded"),
    (locations.path_pattern, ["//", "/a//b", "/a/./b", "/a/..", "/.", "= /../x", "/a/..;b/c"], "written normalised"),
    (locations.path_pattern, ["~ (", "~* [", "~ a{99999999999}", "~ *"], "not a regular expression"),
    (locations.rewrite, ["", "api", "http://x/"], "a path such as /api/v2/"),
    (locations.rewrite, ["/a?b", "/%20", "/a/../b", "/a//b"], "a path "),
    (locations.redirect, ["", "301", "200 /x", "304 /x", "/a /b", "301 /a b", "/é"], "[STATUS] URL such as"),
    (locations.redirect, ["ftp://x", "x", "301 example.org", "javascript:x", "https://"], "begins with http://"),
    (
        locations.redirect,
        ["//x", "https://$path", "https://$query", "$query", "https:///x", "https://a\\b"],
        "begins with",
    ),
    (locations.redirect, ["/$uri", "https://$", "$hostname/"], "there are $host, $path and $query"),
    (locations.respond, ["", "hello", "101", "600", "2000", "20", "200hello"], "STATUS [TEXT] such as"),
    (locations.respond, ["204 x", "304 x", "205 x"], "has no text"),
]


@pytest.mark.parametrize(
    ("parse", "text", "told"), [(parse, text, told) for parse, texts, told in BAD for text in texts]
)
def test_bad_values_are_told_with_what_would_be_right(parse: Callable[[str], Any], text: str, told: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse(text)
    assert told in str(caught.value)


PARSERS = [locations.path_pattern, locations.rewrite, locations.redirect, locations.respond]


@given(st.sampled_from(PARSERS), st.text(alphabet="a/~*=^ .?$%(){}[]+\\0129é", max_size=16).map(str.strip))
def test_no_text_escapes_the_error_of_its_parser(parse: Callable[[str], Any], text: str) -> None:
    try:
        parse(text)
    except BadValue as bad:
        assert str(bad)
