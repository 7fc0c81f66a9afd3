"""Addresses, servers, networks, hosts and origins: what is written is read, and what cannot be is explained."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.admission.origins import OriginPolicy, parse_origin
from wsgate.config import addresses
from wsgate.config.model import Address, Server
from wsgate.config.values import BadValue, duration_text
from wsgate.wire.authority import host_of

IPS = st.ip_addresses().map(str)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?(\.[a-z]([a-z0-9-]{0,8}[a-z0-9])?){1,2}", fullmatch=True)
UNIX = st.from_regex(r"/[a-z][a-z/.]{0,20}[a-z]", fullmatch=True).map(lambda path: Address(path=path))
LISTEN = st.builds(Address, IPS, st.integers(0, 65535)) | UNIX
CONNECT = st.builds(Address, IPS | NAMES, st.integers(1, 65535)) | UNIX


@given(LISTEN)
def test_a_listening_address_is_read_back(address: Address) -> None:
    assert addresses.listen_address(str(address)) == address


@given(CONNECT)
def test_a_connecting_address_is_read_back(address: Address) -> None:
    assert addresses.connect_address(str(address)) == address


def written(server: Server) -> str:
    words = [str(server), f"weight={server.weight}", f"max_fails={server.max_fails}", f"max_conns={server.max_conns}"]
    words.append(f"fail_timeout={duration_text(server.fail_timeout)}")
    return " ".join(words + [flag for flag in ("backup", "down") if getattr(server, flag)])


@given(
    st.builds(
        Server,
        CONNECT,
        st.integers(1, 1000),
        st.integers(0, 1000),
        st.integers(1, 10**6).map(lambda milliseconds: milliseconds / 1000),
        st.integers(0, 1000),
        st.booleans(),
        st.booleans(),
    )
)
def test_a_server_is_read_back(server: Server) -> None:
    assert addresses.server(written(server)) == server


@given(st.ip_addresses(), st.integers(0, 32))
def test_a_network_is_read_back(address: Any, prefix: int) -> None:
    network = ip_network(f"{address}/{prefix}", strict=False)
    assert addresses.network(str(network)) == network


GOOD: list[tuple[Callable[[str], Any], str, Any]] = [
    (addresses.listen_address, "*:80", Address("0.0.0.0", 80)),
    (addresses.listen_address, "[0:0::1]:80", Address("::1", 80)),
    (addresses.listen_address, "[fe80::1%eth0]:80", Address("fe80::1%eth0", 80)),
    (addresses.listen_address, "unix:run/x.sock", Address(path="run/x.sock")),
    (addresses.connect_address, "App.Example.org:9000", Address("app.example.org", 9000)),
    (addresses.connect_address, "my_app:9000", Address("my_app", 9000)),
    (addresses.connect_address, "[::FFFF]:9", Address("::ffff", 9)),
    (addresses.server, "127.0.0.1:9", Server(Address("127.0.0.1", 9))),
    (addresses.server, "python:pkg.mod:make weight=2", Server(Address(), weight=2, factory="pkg.mod:make")),
    (addresses.network, "127.0.0.1", ip_network("127.0.0.1/32")),
    (addresses.host, "Example.ORG.", "example.org"),
    (addresses.host, "*.Example.org", "*.example.org"),
    (addresses.host, "127.0.0.1", "127.0.0.1"),
    (addresses.host, "[0::1]", "::1"),
    (addresses.host, "xn--bcher-kva.example", "xn--bcher-kva.example"),
    (addresses.certificate_name, "0::1", "::1"),
    (addresses.certificate_name, "*.Example.org", "*.example.org"),
    (addresses.origin, "same", "same"),
    (addresses.origin, "null", "null"),
    (addresses.origin, "HTTPS://Example.org:443", "https://example.org"),
    (addresses.origin, "http://example.org:8080", "http://example.org:8080"),
    (addresses.origin, "https://[0::1]:8443", "https://[::1]:8443"),
    (addresses.origin, "chrome-extension://abcdef", "chrome-extension://abcdef"),
]


@pytest.mark.parametrize(("parse", "text", "value"), GOOD)
def test_good_values_have_one_form(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


BAD: list[tuple[Callable[[str], Any], list[str], str]] = [
    (
        addresses.listen_address,
        ["", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "/run/x.sock"],
        "*:8080 or unix:",
    ),
    (addresses.listen_address, ["8080"], "127.0.0.1:8080 for this machine only, *:8080 for all"),
    (addresses.listen_address, ["127.0.0.1:65536"], "not between 0 and 65535"),
    (addresses.listen_address, ["localhost:80", ":80", "127.0.0.01:80"], "is not an IP address"),
    (addresses.listen_address, ["::1:80", "[::1:80"], "IPv6 in brackets"),
    (addresses.listen_address, ["[127.0.0.1]:80", "[x]:80", "[]:80"], "is not an IPv6 address"),
    (addresses.listen_address, ["unix:", "unix:run/", "unix:@abstract", "unix:~/x.sock"], "the path of a socket"),
    (addresses.connect_address, ["127.0.0.1:0", "127.0.0.1:99999"], "not between 1 and 65535"),
    (addresses.connect_address, ["*:80", ":80", "1.2.3:80", "-a:80", "a..b:80", "a b:80"], "neither an IP address"),
    (addresses.connect_address, ["a" * 64 + ":80", ".".join(["a" * 60] * 5) + ":80"], "neither an IP address"),
    (addresses.server, ["127.0.0.1:9 wieght=2"], "did you mean weight=?"),
    (addresses.server, ["127.0.0.1:9 backup=1", "127.0.0.1:9 weight"], "unknown server option"),
    (addresses.server, ["127.0.0.1:9 weight=1 weight=2", "127.0.0.1:9 down down"], "is given twice"),
    (addresses.server, ["127.0.0.1:9 fail_timeout=10"], "fail_timeout=10: expected a duration"),
    (addresses.server, ["python:pkg.mod"], "package.module:name"),
    (addresses.network, ["10.0.0.1/8"], "did you mean 10.0.0.0/8?"),
    (addresses.network, ["", "unix", "10.0.0.0/33", "10.*"], "an address or a network such as"),
    (addresses.host, ["", "a b", "*", "*.*.org", "a.*.org", "300.1.1.1"], "a host name such as"),
    (addresses.host, ["example.org:80"], "without a port"),
    (addresses.host, ["bücher.example"], "xn--"),
    (addresses.host, ["[1.2.3.4]", "[x]"], "an IPv6 address such as [::1]"),
    (addresses.certificate_name, ["", "[::1]", "a b"], "a host name or an IP address"),
    (
        addresses.origin,
        ["", "*", "example.org", "https://", "//example.org", "https://a b"],
        "expected any, same, null",
    ),
    (addresses.origin, ["https://u@example.org", "https://x:99999", "https://[::1", "https://*.x.org"], "an origin"),
    (addresses.origin, ["https://x:0", "https://x:", "a" * 33 + "://x"], "an origin"),
    (addresses.origin, ["https://example.org/", "https://example.org?", "https://example.org#x"], "no path"),
]


@pytest.mark.parametrize(
    ("parse", "text", "told"), [(parse, text, told) for parse, texts, told in BAD for text in texts]
)
def test_bad_values_are_told_with_what_would_be_right(parse: Callable[[str], Any], text: str, told: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse(text)
    assert told in str(caught.value)


@pytest.mark.parametrize("text", [text for parse, text, _ in GOOD if parse is addresses.origin])
def test_origins_are_understood_by_admission(text: str) -> None:
    origin = addresses.origin(text)
    assert OriginPolicy([origin]) is not None
    assert parse_origin(origin.encode()) == parse_origin(text.encode())


@pytest.mark.parametrize("text", [text for parse, text, _ in GOOD if parse is addresses.host and "*" not in text])
def test_hosts_have_the_form_that_requests_are_read_to(text: str) -> None:
    assert addresses.host(text) == host_of(text.encode())


@given(st.sampled_from([row[0] for row in GOOD]), st.text(alphabet="az09.:[]/*@%-=~ é", min_size=1, max_size=20))
def test_no_text_escapes_the_error_of_its_parser(parse: Callable[[str], Any], text: str) -> None:
    if text.strip() == text:
        try:
            parse(text)
        except BadValue as bad:
            assert str(bad)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("srv:_ws._tcp.Example.org.", "srv", "_ws._tcp.example.org"),
        ("file:run/servers.txt weight=3", "file", "run/servers.txt"),
    ],
)
def test_servers_may_stand_elsewhere(text: str, field: str, value: str) -> None:
    assert getattr(addresses.server(text), field) == value


@pytest.mark.parametrize("text", ["srv:example.org", "srv:", "file:", "file:~/x", "file:run/"])
def test_places_of_servers_that_are_none_are_told(text: str) -> None:
    with pytest.raises(BadValue, match="expected"):
        addresses.server(text)


def test_a_dns_server_is_an_address_with_a_port() -> None:
    assert addresses.resolver("[::1]:53") == Address("::1", 53)
    for wrong in ("dns.example:53", "127.0.0.1", "127.0.0.1:0"):
        with pytest.raises(BadValue, match="DNS server"):
            addresses.resolver(wrong)
