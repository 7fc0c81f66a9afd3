"""Paths: one reading for routes and servers, and everything with two readings refused."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.causes import Cause
from wsgate.wire.fields import HeadError
from wsgate.wire.paths import Target, parse_target, rewrite_path, strip_prefix


@pytest.mark.parametrize(
    ("target", "path", "raw_path"),
    [
        (b"/", "/", b"/"),
        (b"/a/b", "/a/b", b"/a/b"),
        (b"/a/", "/a/", b"/a/"),
        (b"/a;b=c/d", "/a;b=c/d", b"/a;b=c/d"),
        (b"/%61dmin", "/admin", b"/%61dmin"),
        (b"/a%20b", "/a b", b"/a%20b"),
        (b"/J%C3%B6rg", "/Jörg", b"/J%C3%B6rg"),
        (b"/100%25", "/100%", b"/100%25"),
        (b"/%2541", "/%41", b"/%2541"),
        (b"/a%3fb%23c", "/a?b#c", b"/a%3fb%23c"),
        (b"/.well-known/x", "/.well-known/x", b"/.well-known/x"),
        (b"/...", "/...", b"/..."),
        (b"/..a/b..", "/..a/b..", b"/..a/b.."),
        (b"/a%2eb", "/a.b", b"/a%2eb"),
        # Slashes merge for matching and go on as they came.
        (b"//admin", "/admin", b"//admin"),
        (b"/a///b//", "/a/b/", b"/a///b//"),
        # Plain dot segments are resolved for both.
        (b"/pub/./admin", "/pub/admin", b"/pub/admin"),
        (b"/pub/../admin", "/admin", b"/admin"),
        (b"/a/b/..", "/a/", b"/a/"),
        (b"/a/.", "/a/", b"/a/"),
        (b"/a/..", "/", b"/"),
        (b"/.", "/", b"/"),
        (b"/./", "/", b"/"),
        (b"/a//../b", "/b", b"/b"),
        (b"/a//b/./c%20d//", "/a/b/c d/", b"/a/b/c%20d/"),
        (b"/;a/../b", "/b", b"/b"),
        (b"*", "*", b"*"),
    ],
)
def test_paths(target: bytes, path: str, raw_path: bytes) -> None:
    assert parse_target(target) == Target(path, raw_path, b"", False)
    if target != b"*":
        assert parse_target(target + b"?x=/../%00") == Target(path, raw_path, b"?x=/../%00", False)


@pytest.mark.parametrize(
    "target",
    [
        # Not a path at all.
        *(
            b"",
            b"a",
            b"?x",
            b"**",
            b"*?x",
            b"http://a/",
            b"%2f",
            b"/a#b",
            b"/a?b#c",
            b"/a b",
            b"/a?b c",
            b"/a\x7f",
            b"/\xc3\xa4",
        ),
        *(b"/a?\xff", b"/a\0", b"/a\r\nb", b"/a?b\n"),
        # Half escapes, and what would become one by decoding.
        *(b"/%", b"/a%4", b"/%zz", b"/%%36%36", b"/%2", b"/%u0041", b"/%-1"),
        # What some servers take for a slash, an end or a line end.
        *(
            b"/a\\b",
            b"/a%5cb",
            b"/a%5Cb",
            b"/..\\admin",
            b"/%00",
            b"/a%00.js",
            b"/a%0ab",
            b"/a%0d%0aX:y",
            b"/%1F",
            b"/%7f",
        ),
        # Dot segments that show up only after decoding, or only for servers that cut parameters.
        *(b"/%2e%2e/admin", b"/pub/%2e%2e/admin", b"/pub/.%2e/admin", b"/pub/%2E./admin", b"/pub/%2e/admin", b"/a/%2e"),
        *(b"/pub/..;x=1/admin", b"/pub/..;/admin", b"/pub/.;/admin", b"/a/..;", b"/pub/..%3bx/admin", b"/%2e%2e;x/b"),
        *(b"/pub/..%2fadmin", b"/pub%2f..%2fadmin", b"/pub%2f../admin", b"/a%2f.", b"/a%2fb/../c", b"/a/./b%2Fc"),
        # Above the root.
        *(b"/..", b"/../a", b"/a/../../b", b"//..", b"/./../a"),
        # Not UTF-8, overlong dots and slashes among it.
        *(b"/%ff", b"/%c0%ae%c0%ae/a", b"/%c0%af", b"/%ed%a0%80"),
    ],
    ids=repr,
)
def test_targets_that_are_refused(target: bytes) -> None:
    with pytest.raises(HeadError) as refusal:
        parse_target(target)
    assert refusal.value.cause is Cause.BAD_REQUEST


@pytest.mark.parametrize(
    ("target", "path"),
    [(b"/a%2fb", "/a/b"), (b"/a%2Fb?c", "/a/b"), (b"/a%2f%2Fb", "/a/b"), (b"/%2fadmin", "/admin")],
)
def test_an_encoded_slash_is_left_to_the_route(target: bytes, path: str) -> None:
    """It matches as a slash, so that nothing hides behind it, and goes on as it came."""
    parsed = parse_target(target)
    assert parsed.encoded_slash
    assert parsed.path == path
    assert parsed.origin_form == target


@pytest.mark.parametrize(
    ("target", "query", "tail"),
    [(b"/a", b"", b""), (b"/a?", b"", b"?"), (b"/a?b?c", b"b?c", b"?b?c"), (b"/?%", b"%", b"?%")],
)
def test_the_query_goes_on_as_it_came(target: bytes, query: bytes, tail: bytes) -> None:
    parsed = parse_target(target)
    assert (parsed.query, parsed.tail, parsed.origin_form) == (query, tail, target)


@pytest.mark.parametrize(
    ("path", "matched", "replacement", "raw_path"),
    [
        ("/name/x", "/name/", "/remote/", b"/remote/x"),
        ("/name/", "/name/", "/remote/", b"/remote/"),
        ("/name", "/name/", "/remote/", b"/remote/"),
        ("/name/x", "/name", "/remote", b"/remote/x"),
        ("/name/x", "/name", "/", b"//x"),
        ("/name", "/name", "/other?", b"/other%3F"),
        ("/chat/J ö?#%\\", "/chat/", "/", b"/J%20%C3%B6%3F%23%25%5C"),
        ("/a/b;c=d,e:f@g!$&'()*+~_-.", "/a/", "/", b"/b;c=d,e:f@g!$&'()*+~_-."),
        ("/x", "/x", "y", b"/y"),
    ],
)
def test_rewriting(path: str, matched: str, replacement: str, raw_path: bytes) -> None:
    """nginx's rule for proxy_pass with a URI: the part that matched is replaced, and the result escaped."""
    assert rewrite_path(path, matched, replacement) == raw_path


@pytest.mark.parametrize(
    ("path", "matched", "raw_path"),
    [
        ("/api/x", "/api", b"/x"),
        ("/api/x", "/api/", b"/x"),
        ("/api", "/api", b"/"),
        ("/api", "/api/", b"/"),
        ("/apix", "/api", b"/x"),
        ("/a/b", "/", b"/a/b"),
    ],
)
def test_stripping(path: str, matched: str, raw_path: bytes) -> None:
    assert strip_prefix(path, matched) == raw_path


@pytest.mark.parametrize("path", ["/api../x", "/api..", "/api./x", "/api..;a/x"])
def test_a_prefix_cannot_uncover_a_dot_segment(path: str) -> None:
    """The server would resolve it, and leave the directory that the route is for."""
    for attempt in (lambda: strip_prefix(path, "/api"), lambda: rewrite_path(path, "/api", "/v1/")):
        with pytest.raises(HeadError) as refusal:
            attempt()
        assert refusal.value.cause is Cause.BAD_REQUEST


_parts = st.sampled_from(
    [
        b"/",
        b"/",
        b".",
        b"..",
        b"%2e",
        b"%2F",
        b"%5c",
        b";",
        b"%3b",
        b"a",
        b"%61",
        b"%25",
        b"%",
        b"2e",
        b"\\",
        b"%c3%a4",
        b"?",
    ]
)


@given(st.lists(_parts, max_size=8).map(lambda parts: b"/" + b"".join(parts)) | st.binary(max_size=12))
def test_laws(target: bytes) -> None:
    """What passes has no dot segment in any reading, is what the path says, and is its own normal form."""
    try:
        parsed = parse_target(target)
    except HeadError as error:
        assert error.cause is Cause.BAD_REQUEST
        return
    if target == b"*":
        return
    assert parsed.path.startswith("/")
    assert "//" not in parsed.path
    for reading in (parsed.path, parsed.raw_path.decode(), unquote_to_bytes(parsed.raw_path).decode()):
        segments = [segment.partition(";")[0] for segment in reading.replace("\\", "/").split("/")]
        assert "." not in segments
        assert ".." not in segments
    assert parse_target(parsed.origin_form) == parsed
    again = parse_target(rewrite_path(parsed.path, "", ""))
    assert again.path == parsed.path
    if b"%" not in parsed.raw_path and b"//" not in parsed.raw_path:
        assert parsed.raw_path.decode() == parsed.path
