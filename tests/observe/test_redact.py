"""Credentials that ride in query strings, URLs and subprotocols stay out of the log; ordinary names stay in."""

from __future__ import annotations

import pytest

from wsgate.observe.redact import REDACTED, shown_path, shown_query, shown_subprotocol, shown_url

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

ORDINARY = [
    "",
    "chat",
    "graphql-ws",
    "graphql-transport-ws",
    "wamp.2.json.batched",
    "v12.stomp",
    "mqtt",
    "ocpp2.0.1",
    "actioncable-v1-json",
    "actioncable-unsupported",
    "janus-protocol",
    "v5.channel.k8s.io",
    "json.reliable.webpubsub.azure.v1",
    "protobuf.reliable.webpubsub.azure.v1",
    "xmpp, mqtt, soap",
]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_subprotocols_are_shown(name: str) -> None:
    assert shown_subprotocol(name) == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (JWT, REDACTED),
        (f"bearer.{JWT}", f"bearer.{REDACTED}"),
        ("Bearer.abc", f"Bearer.{REDACTED}"),
        ("bearer, abc", f"bearer, {REDACTED}"),
        ("chat, access_token, abc, mqtt", f"chat, access_token, {REDACTED}, mqtt"),
        ("base64url.bearer.authorization.k8s.io.YWJj", f"base64url.bearer.authorization.k8s.io.{REDACTED}"),
        ("auth-abc", f"auth-{REDACTED}"),
        ("token=abc", f"token={REDACTED}"),
        ("dGhpcyBpcyBhIHNlY3JldA==7", REDACTED),
        ("123e4567-e89b-12d3-a456-426614174000", REDACTED),
        ("0123456789abcdef0123456789abcdef", REDACTED),
        ("a" * 49, REDACTED),
        ("ab.cd." * 12, REDACTED),
    ],
)
def test_token_like_subprotocols_are_not_shown(text: str, shown: str) -> None:
    assert shown_subprotocol(text) == shown


def test_a_huge_subprotocol_costs_little() -> None:
    assert shown_subprotocol("a1B" * 100_000) == REDACTED


def test_a_query_is_hidden_unless_it_is_asked_for() -> None:
    assert shown_query("room=1&token=abc", log_query=False) == "..."
    assert shown_query("", log_query=False) == ""


@pytest.mark.parametrize(
    "name", ["token", "access_token", "id_token", "jwt", "password", "api_key", "key", "code", "sig"]
)
def test_credentials_in_a_query_are_hidden_even_when_it_is_asked_for(name: str) -> None:
    assert shown_query(f"room=1&{name}=s3cret&flag", log_query=True) == f"room=1&{name}={REDACTED}&flag"


def test_an_encoded_name_of_a_parameter_does_not_hide_its_meaning() -> None:
    assert shown_query("%74oken=s3cret", log_query=True) == f"%74oken={REDACTED}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/a", "https://example.org/a"),
        ("https://user:pass@example.org/a@b", "https://example.org/a@b"),
        ("https://user:p@ss@example.org", "https://example.org"),
        ("//user:pass@example.org/", "//example.org/"),
        ("https://example.org/a?token=x", "https://example.org/a?..."),
        ("https://example.org/#access_token=x", "https://example.org/"),
        ("about:blank", "about:blank"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_user_query_and_fragment(url: str, shown: str) -> None:
    assert shown_url(url, log_query=False) == shown


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/a/b", "/a/b"),
        ("/a?token=x", "/a?..."),
        ("http://user:pass@example.org/a?b", "http://example.org/a?..."),
        ("//a@b/c", "//a@b/c"),
        ("*", "*"),
    ],
)
def test_a_target_that_is_no_path_is_shown_as_a_url(path: str, shown: str) -> None:
    assert shown_path(path, log_query=False) == shown
