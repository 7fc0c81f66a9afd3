"""Which route answers: nginx's precedence, against its rules written down literally."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.samples import PROXY, STATIC, route
from wsgate.config.model import Config, GatewayOptions, PathKind, PathPattern, ProxyTarget, Route
from wsgate.routing.table import Choice, Match, RouteTable, SlashRedirect


def chosen(routes: list[Route], path: str, host: str = "", websocket: bool = False) -> str | None:
    """The name of the route; a slash redirect is written as ``-> location``."""
    choice = RouteTable(routes).choose(host, path, websocket)
    if isinstance(choice, SlashRedirect):
        return f"-> {choice.location}"
    return choice.route.name if choice is not None else None


class TestPaths:
    def test_exact_beats_everything(self) -> None:
        routes = [route("~ ^/a"), route("^~ /a"), route("= /a")]
        assert chosen(routes, "/a") == "= /a"
        assert chosen(routes, "/ab") == "^~ /a"

    def test_the_longest_prefix_wins_in_any_order(self) -> None:
        for routes in ([route("/"), route("/a/b"), route("/a")], [route("/a"), route("/"), route("/a/b")]):
            assert chosen(routes, "/a/b/c") == "/a/b"
            assert chosen(routes, "/a/c") == "/a"
            assert chosen(routes, "/x") == "/"

    def test_a_regular_expression_beats_a_prefix_and_the_first_in_the_file_wins(self) -> None:
        routes = [route("/img/big/"), route(r"~ \.png$"), route("~ ^/img/"), route("/")]
        assert chosen(routes, "/img/big/a.png") == r"~ \.png$"
        assert chosen(routes, "/img/big/a.gif") == "~ ^/img/"
        assert chosen(routes, "/other.txt") == "/"

    def test_the_first_mark_keeps_regular_expressions_off_only_where_its_prefix_is_the_longest(self) -> None:
        routes = [route("^~ /img/"), route("/img/big/"), route(r"~ \.png$")]
        assert chosen(routes, "/img/a.png") == "^~ /img/"
        assert chosen(routes, "/img/big/a.png") == r"~ \.png$"

    def test_a_regular_expression_is_searched_anywhere_and_may_ignore_case(self) -> None:
        routes = [route(r"~* \.PNG$"), route("~ b")]
        assert chosen(routes, "/a.png") == r"~* \.PNG$"
        assert chosen(routes, "/abc") == "~ b"
        assert chosen(routes, "/ABC") is None

    def test_a_prefix_is_a_prefix_of_the_string(self) -> None:
        assert [chosen([route("/wsapp")], path) for path in ("/wsapp", "/wsapp/x", "/wsappx")] == ["/wsapp"] * 3
        assert chosen([route("/wsapp")], "/wsap") is None

    def test_of_two_routes_with_one_path_the_first_counts(self) -> None:
        assert chosen([route("/a", "one"), route("/a", "two")], "/a") == "one"
        assert chosen([route("= /a", "one"), route("= /a", "two")], "/a") == "one"

    def test_no_route_is_none(self) -> None:
        assert chosen([], "/") is None
        assert chosen([route("/a")], "/b") is None

    def test_a_regular_path_needs_its_expression(self) -> None:
        broken = PathPattern(PathKind.REGEX, "x")
        sample = route("/")
        fields = {name: getattr(sample, name) for name in Route.__dataclass_fields__} | {"path": broken}
        with pytest.raises(ValueError, match="regular path"):
            RouteTable([Route(**fields)])


class TestMatched:
    @pytest.mark.parametrize(
        ("path_option", "path", "matched"),
        [
            ("= /a", "/a", "/a"),
            ("/a/", "/a/b", "/a/"),
            ("^~ /a", "/ab", "/a"),
            ("~ ^/v[0-9]+/", "/v12/x", "/v12/"),
            (r"~ /b/", "/a/b/c", "/a/b/"),
        ],
    )
    def test_matched_is_the_start_of_the_path_that_a_rewrite_replaces(
        self, path_option: str, path: str, matched: str
    ) -> None:
        choice = RouteTable([route(path_option)]).choose("", path, False)
        assert isinstance(choice, Match)
        assert choice.matched == matched


class TestLastSlash:
    def test_http_is_redirected_and_a_websocket_is_answered(self) -> None:
        routes = [route("/chat/"), route("/"), route("~ chat")]
        assert chosen(routes, "/chat") == "-> /chat/"
        table = RouteTable(routes)
        choice = table.choose("", "/chat", True)
        assert isinstance(choice, Match)
        assert (choice.route.name, choice.matched) == ("/chat/", "/chat")

    def test_the_first_mark_changes_nothing_about_it(self) -> None:
        assert chosen([route("^~ /chat/"), route("/")], "/chat") == "-> /chat/"

    @pytest.mark.parametrize("websocket", [False, True])
    def test_a_route_for_the_path_without_the_slash_comes_first(self, websocket: bool) -> None:
        assert chosen([route("/chat/"), route("= /chat")], "/chat", websocket=websocket) == "= /chat"
        assert chosen([route("/chat/"), route("/chat")], "/chat", websocket=websocket) == "/chat"
        assert chosen([route("/chat/"), route("/chat"), route("~ t$")], "/chat", websocket=websocket) == "~ t$"

    def test_only_a_proxied_prefix_does_it(self) -> None:
        assert chosen([route("/files/", target=STATIC), route("/")], "/files") == "/"
        assert chosen([route("= /chat/"), route("/")], "/chat") == "/"

    def test_the_root_has_no_path_without_slash(self) -> None:
        assert chosen([route("/")], "") is None


class TestHosts:
    ROUTES = (
        route("/", "exact", hosts=("www.example.org",)),
        route("/", "wild", hosts=("*.example.org",)),
        route("/", "wilder", hosts=("*.a.example.org", "Other.example")),
        route("/", "any"),
    )

    @pytest.mark.parametrize(
        ("host", "name"),
        [
            ("www.example.org", "exact"),
            ("WWW.Example.ORG", "exact"),
            ("www.example.org.", "exact"),
            ("x.example.org", "wild"),
            ("x.y.example.org", "wild"),
            ("x.a.example.org", "wilder"),
            ("a.example.org", "wild"),
            ("other.example", "wilder"),
            ("example.org", "any"),
            ("wwwexample.org", "any"),
            (".example.org", "any"),
            ("www.example.org.evil", "any"),
            ("", "any"),
            ("[::1]", "any"),
        ],
    )
    def test_exact_name_then_longest_wildcard_then_routes_without_host(self, host: str, name: str) -> None:
        assert chosen(list(self.ROUTES), "/", host) == name

    def test_a_host_that_lacks_the_path_has_no_route_even_if_others_have_it(self) -> None:
        routes = [route("/a", hosts=("x.org",)), route("/"), route("/", "wild", hosts=("*.org",))]
        assert chosen(routes, "/b", "x.org") is None
        assert chosen(routes, "/b", "y.org") == "wild"
        assert chosen(routes, "/b", "y.net") == "/"

    def test_without_a_route_for_any_host_an_unknown_host_has_none(self) -> None:
        assert chosen([route("/", hosts=("x.org",))], "/", "y.org") is None


def test_a_listener_has_the_routes_that_name_it_and_those_that_name_none() -> None:
    gateway = GatewayOptions(Path("/s"), "-", "text", False, 0, 1.0, "")
    routes = (
        route("/a", listeners=("web",)),
        route("/b", listeners=("secure", "web")),
        route("/c", listeners=("secure",)),
        route("/d"),
    )
    table = RouteTable.for_listener(Config("x.ini", gateway, (), routes=routes), "web")
    assert [table.choose("", path, False) is not None for path in ("/a", "/b", "/c", "/d")] == [True, True, False, True]


def literally(routes: list[Route], host: str, path: str, websocket: bool) -> Choice:
    """nginx's rules as its manual tells them, one pass over the list for each sentence."""
    host = host.lower()
    group = [r for r in routes if host in r.hosts]
    if not group:
        stars = {h for r in routes for h in r.hosts if h.startswith("*.") and host.endswith(h[1:]) and host != h[1:]}
        best = max(stars, key=len, default=None)
        group = [r for r in routes if (best in r.hosts if best is not None else not r.hosts)]
    for r in group:
        if r.path.kind is PathKind.EXACT and r.path.text == path:
            return Match(r, path)
    prefixes = [r for r in group if r.path.kind in (PathKind.PREFIX, PathKind.PREFIX_FIRST)]
    if path not in [r.path.text for r in prefixes]:
        same = [r for r in prefixes if r.path.text == path + "/"]
        if path and same and isinstance(same[0].target, ProxyTarget):
            return Match(same[0], path) if websocket else SlashRedirect(same[0], path + "/")
    longest = None
    for r in prefixes:
        if path.startswith(r.path.text) and (longest is None or len(r.path.text) > len(longest.path.text)):
            longest = r
    if longest is None or longest.path.kind is PathKind.PREFIX:
        for r in group:
            if r.path.regex is not None and (found := r.path.regex.search(path)):
                return Match(r, path[: found.end()])
    return Match(longest, longest.path.text) if longest is not None else None


PATHS = st.lists(st.sampled_from(["/", "a", "b"]), max_size=6).map(lambda parts: "/" + "".join(parts))
HOSTS = st.sampled_from(["a.org", "b.a.org", "*.org", "*.a.org", "*.b.a.org", "x.b.a.org", "net"])
PATTERNS = st.one_of(
    PATHS,
    PATHS.map("= ".__add__),
    PATHS.map("^~ ".__add__),
    st.sampled_from(["~ a$", "~ ^/b", "~* /A/", "~ aa", "~ ."]),
)
ROUTES = st.lists(
    st.builds(
        route,
        PATTERNS,
        hosts=st.one_of(st.just(()), st.lists(HOSTS, max_size=2).map(tuple)),
        target=st.sampled_from([PROXY, STATIC]),
    ),
    max_size=12,
)


@given(ROUTES, HOSTS.map(lambda host: host.removeprefix("*.")), PATHS, st.booleans())
def test_the_choice_is_what_the_rules_say_literally(routes: list[Route], host: str, path: str, websocket: bool) -> None:
    choice = RouteTable(routes).choose(host, path, websocket)
    assert choice == literally(routes, host, path, websocket)
    assert type(choice) is type(literally(routes, host, path, websocket))
    if isinstance(choice, Match):
        assert path.startswith(choice.matched)
