"""From parsed values to the model: paths made absolute, targets and limits put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsgate.config import build
from wsgate.config.model import Address, ProxyTarget, RedirectTarget, RespondTarget, Server, StaticTarget
from wsgate.config.options import of_section

BASE = Path("/srv/gate/etc")


def values(kind: str, **given: str) -> dict[str, Any]:
    """The values of a section as the loader makes them, from the texts that are given."""
    return {
        name: build.anchored(option.parse(given[name]) if name in given else option.fallback(), BASE)
        for name, option in of_section(kind).items()
    }


def test_relative_paths_are_below_the_base_and_absolute_ones_stay() -> None:
    assert build.anchored(Path("../www"), BASE) == Path("/srv/gate/www")
    assert build.anchored(Path("/www"), BASE) == Path("/www")
    assert build.anchored(Address(path="run/x.sock"), BASE) == Address(path="/srv/gate/etc/run/x.sock")
    assert build.anchored((Server(Address(path="x"), weight=2),), BASE) == (
        Server(Address(path="/srv/gate/etc/x"), weight=2),
    )


@pytest.mark.parametrize("value", ["www", 3, Address("::1", 80), (1, "x"), None])
def test_other_values_stay_as_they_are(value: Any) -> None:
    assert build.anchored(value, BASE) == value


def test_the_access_log_is_a_word_or_an_absolute_path() -> None:
    assert build.gateway(values("gateway")).access_log == "-"
    assert build.gateway(values("gateway", access_log="off")).access_log == "off"
    assert build.gateway(values("gateway", access_log="log")).access_log == "/srv/gate/etc/log"


def test_a_self_signed_certificate_has_no_key_of_the_operator() -> None:
    tls = build.tls("t", values("tls"))
    assert (tls.certificate, tls.key, tls.names) == ("self-signed", None, ())
    assert build.tls("t", values("tls", names="a.example")).names == ("a.example",)


def test_the_key_is_in_the_certificates_file_where_no_other_is_named() -> None:
    tls = build.tls("t", values("tls", certificate="site.pem"))
    assert (tls.certificate, tls.key, tls.names) == ("/srv/gate/etc/site.pem", Path("/srv/gate/etc/site.pem"), ())
    assert build.tls("t", values("tls", certificate="site.pem", key="/k")).key == Path("/k")


def test_a_route_has_the_target_that_is_named() -> None:
    def target(**given: str) -> Any:
        return build.route("r", values("route", **given)).target

    assert target(upstream="u") == ProxyTarget("u")
    assert target(static="www", static_index="a.html, b.html", static_max_age="1m") == StaticTarget(
        BASE / "www", ("a.html", "b.html"), 60
    )
    assert target(redirect="/x") == RedirectTarget(302, "/x")
    assert target(respond="404 no") == RespondTarget(404, "no")


@pytest.mark.parametrize(
    ("given", "rate", "burst"),
    [
        ({}, 0, 0),
        ({"messages_per_second": "20"}, 20, 20),
        ({"messages_per_second": "0.1"}, 0.1, 1),
        ({"messages_per_second": "20", "messages_burst": "5"}, 20, 5),
    ],
)
def test_a_burst_is_one_second_of_the_rate_and_at_least_one_message(
    given: dict[str, str], rate: float, burst: float
) -> None:
    limits = build.route("r", values("route", **given)).limits
    assert (limits.messages_per_second, limits.messages_burst) == (rate, burst)
    assert type(limits.messages_burst) is type(limits.bytes_per_second) is float


def test_tls_to_servers_is_there_where_it_is_on() -> None:
    assert build.upstream("u", values("upstream", tls_ca="ca.pem")).tls is None
    security = build.upstream("u", values("upstream", tls="on", tls_ca="ca.pem", tls_verify="off")).tls
    assert security is not None
    assert (security.verify, security.ca, security.server_name) == (False, BASE / "ca.pem", "")
