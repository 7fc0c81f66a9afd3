"""Options that would do nothing are refused, unless they are switched off."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgate.config.effects import NEEDS, Need
from wsgate.config.load import parse_config
from wsgate.config.options import OPTIONS, of_section
from wsgate.config.problems import ConfigError


def refused(route: str) -> list[str]:
    text = f"[listener web]\nbind = 127.0.0.1:1\n[upstream u]\nservers = 127.0.0.1:9\n[route r]\n{route}\n"
    try:
        parse_config(text, "x", Path("/nowhere"))
    except ConfigError as error:
        return [problem.text for problem in error.problems]
    return []


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: f"{need.kind}:{need.words}")
def test_needs_name_options_that_exist(need: Need) -> None:
    assert {*need.options, *need.on} <= set(of_section(need.kind))


@pytest.mark.parametrize(
    ("route", "needed"),
    [
        ("respond = 200\nmax_message = 1k", "upstream = NAME"),
        ("upstream = u\nwebsocket = off\nmax_message = 1k", "websocket = frames, messages or tunnel"),
        (
            "upstream = u\nwebsocket = tunnel\nmax_message = 1k",
            "websocket = frames or messages (tunnel sees no frames)",
        ),
        ("upstream = u\non_message = a:b", "websocket = messages"),
        ("upstream = u\nbytes_burst = 1m", "bytes_per_second"),
        ("upstream = u\nping_interval = off\nping_timeout = 1s", "ping_interval"),
        ("upstream = u\ncontrol_rate = off\ncontrol_burst = 9", "control_rate"),
        ("upstream = u\nstatic_index = a.html", "static = DIRECTORY"),
    ],
)
def test_an_option_without_effect_is_refused_with_what_it_takes(route: str, needed: str) -> None:
    assert refused(route) == [f"has no effect without {needed}"]


@pytest.mark.parametrize(
    "route",
    [
        "respond = 200\nmax_message = off\nwebsocket = off",
        "upstream = u\nwebsocket = tunnel\nping_interval = 0\nidle_timeout = 1h\nmax_age = 0\nextensions = strip",
        "upstream = u\ncompression = off",
        "upstream = u\nwebsocket = messages\ncompression = client\non_message = a:b\nvalidate_utf8 = on",
        "upstream = u\nmessages_per_second = 1\nmessages_burst = 9\nlimit_action = wait\nbytes_per_second = 1k",
    ],
)
def test_options_with_an_effect_and_those_switched_off_are_taken(route: str) -> None:
    assert refused(route) == []


def test_every_limit_of_the_table_is_for_routes_with_an_upstream() -> None:
    limits = {option.name for option in OPTIONS if option.section == "route" and option.name.startswith("max_")}
    proxied = {option for need in NEEDS if need.words == "upstream = NAME" for option in need.options}
    assert limits - proxied == {"max_body"}
