"""Routes by sni and client certificates: what the corpus (``sni_routes.txt``, ``tls_rules.txt``) does not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgate.config.load import parse_config
from wsgate.config.model import SniRoute
from wsgate.config.options import of_section
from wsgate.config.problems import ConfigError
from wsgate.config.tls_rules import _SNI_OPTIONS

BASE = """
[listener raw]
bind = 127.0.0.1:1
mode = tcp
upstream = u
[upstream u]
servers = 127.0.0.1:9
"""


def problems(text: str) -> list[str]:
    try:
        parse_config(BASE + text, "x", Path("/nowhere"))
    except ConfigError as error:
        return [problem.text for problem in error.problems]
    return []


def test_a_route_with_sni_is_no_route_for_requests() -> None:
    text = "[route r]\nlistener = raw\nsni = A.example.org.\nalpn = mqtt, h2\nupstream = u\n"
    config = parse_config(BASE + text, "x", Path("/nowhere"))
    assert config.routes == ()
    assert config.sni_routes == (SniRoute("r", ("raw",), ("a.example.org",), ("mqtt", "h2"), False, "u"),)


def test_the_options_of_a_route_by_sni_exist() -> None:
    assert set(of_section("route")) >= _SNI_OPTIONS


@pytest.mark.parametrize("option", ["path = /x", "static = www", "websocket = tunnel", "host = a.example"])
def test_what_needs_a_request_is_refused_beside_sni(option: str) -> None:
    text = f"[route r]\nlistener = raw\nsni = any\nupstream = u\n{option}\n"
    assert any(problem.startswith("has no effect with sni") for problem in problems(text))


def test_the_same_name_may_stand_twice_for_different_protocols() -> None:
    first = "[route a]\nlistener = raw\nsni = any\nalpn = mqtt\nupstream = u\n"
    second = "[route b]\nlistener = raw\nsni = any\nalpn = {}\nupstream = u\n"
    assert problems(first + second.format("h2")) == []
    assert problems(first + second.format("h2, mqtt")) != []


def test_certificates_are_asked_for_only_where_clients_can_show_them() -> None:
    route = "[listener web]\nbind = 127.0.0.1:2\n[route r]\nlistener = web\nrespond = 204\nclient_certs = any\n"
    assert any(problem.startswith("nobody could pass") for problem in problems(route))


ACME = "[listener secure]\nbind = 127.0.0.1:3\ntls = s\n[tls s]\ncertificate = acme\n"
PLAIN = "[listener plain]\nbind = 127.0.0.1:4\n[route r]\nrespond = 204\n"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (PLAIN + ACME, "acme needs names = example.org"),
        (PLAIN + ACME + "names = *.example.org\n", "*.example.org: acme gives certificates for single host names here"),
        (PLAIN + ACME + "names = 10.0.0.1\n", "10.0.0.1: acme gives certificates for single host names here"),
        (ACME + "names = example.org\n[route r]\nrespond = 204\n", "http-01 asks on port 80"),
        (PLAIN + ACME + "names = example.org\nkey = k.pem\n", "has no effect without certificate = FILE"),
        (PLAIN + ACME + "names = example.org\nacme_directory = http://x\n", "expected a URL such as https://"),
        (
            PLAIN + ACME.replace("acme", "self-signed") + "acme_email = a@example.org\n",
            "has no effect without certificate = acme",
        ),
    ],
)
def test_what_acme_cannot_do_is_refused(text: str, wrong: str) -> None:
    assert any(problem.startswith(wrong) for problem in problems(text))


def test_what_acme_can_do() -> None:
    assert problems(PLAIN + ACME + "names = example.org, www.example.org\n") == []
    assert problems(ACME + "names = example.org\nacme_challenge = tls-alpn-01\n[route r]\nrespond = 204\n") == []
