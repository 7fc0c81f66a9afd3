"""Rules between sections: a sound INI has no problem, and each flaw put into it is exactly one."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgate.config.load import parse_config
from wsgate.config.problems import ConfigError

SOUND = """\
[listener web]
bind = 127.0.0.1:8080
[listener raw]
bind = 127.0.0.1:8081
mode = tcp
upstream = app
[route app]
path = /app/
upstream = app
[route fixed]
respond = 200
[upstream app]
servers = 127.0.0.1:9001, 127.0.0.1:9002
[app demo]
kind = echo
bind = 127.0.0.1:9001
"""


def problems(text: str) -> list[str]:
    try:
        assert parse_config(text, "x", Path("/nowhere")).warnings == ()
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_sound_configuration_has_no_problem() -> None:
    assert problems(SOUND) == []


FLAWS = [
    (
        "bind = 127.0.0.1:8081",
        "bind = 127.0.0.1:8080",
        "x:4: [listener raw] bind = 127.0.0.1:8080: 127.0.0.1:8080 is taken",
    ),
    (
        "bind = 127.0.0.1:8081",
        "bind = *:8080",
        "x:4: [listener raw] bind = *:8080: 0.0.0.0:8080 is taken by 127.0.0.1:8080",
    ),
    (
        "bind = 127.0.0.1:9001",
        "bind = 127.0.0.1:8080",
        "x:16: [app demo] bind = 127.0.0.1:8080: 127.0.0.1:8080 is taken",
    ),
    ("mode = tcp\nupstream = app", "mode = tcp", "x:3: [listener raw]: needs upstream"),
    ("mode = tcp\n", "", "x:5: [listener raw] upstream = app: mode http chooses by routes"),
    ("8080\n", "8080\ntls = site\n", "x:3: [listener web] tls = site: there is no [tls site]"),
    (
        "/app/\nupstream = app",
        "/app/\nupstream = ap",
        "x:9: [route app] upstream = ap: unknown upstream ap: did you mean app?",
    ),
    (
        "respond = 200",
        "listener = raw\nrespond = 200",
        "x:11: [route fixed] listener = raw: [listener raw] has mode tcp",
    ),
    ("respond = 200", "respond =", "x:10: [route fixed]: needs a target"),
    ("respond = 200", "respond = 200\nredirect = /", "x:11: [route fixed] respond = 200: a route has one target"),
    ("respond = 200", "path = ^~ /app/\nrespond = 200", "x:11: [route fixed] path = ^~ /app/: [route app] in line 7"),
    ("path = /app/", "path = ~ /app/\nrewrite = /", "x:9: [route app] rewrite = /: a regular expression"),
    ("path = /app/", "strip_prefix = on\nrewrite = /", "x:9: [route app] rewrite = /: strip_prefix and rewrite"),
    ("127.0.0.1:9002", "127.0.0.1:9001 down", "x:13: [upstream app] servers = 127.0.0.1:9001, 127.0.0.1:9001 down: "),
    (
        "127.0.0.1:9001, 127.0.0.1:9002",
        "127.0.0.1:1 backup",
        "x:13: [upstream app] servers = 127.0.0.1:1 backup: every",
    ),
    ("127.0.0.1:9002", "unix:" + "x" * 108, "x:13: [upstream app] servers = 127.0.0.1:9001, unix:xxx"),
]


@pytest.mark.parametrize(("old", "new", "expected"), FLAWS)
def test_each_flaw_is_one_problem(old: str, new: str, expected: str) -> None:
    # Some flaws change the path of a route too, which would make it the same as the other one.
    text = SOUND.replace("[route fixed]\nrespond = 200", "[route fixed]\nrespond = 200\nhost = a.example")
    text = text if "strip_prefix" in new else SOUND
    assert text.count(old) == 1
    (problem,) = problems(text.replace(old, new))
    assert problem.startswith(expected)


COMPATIBLE = [
    ("127.0.0.1:0", "127.0.0.1:0"),
    ("0.0.0.0:80", "[::]:80"),
    ("127.0.0.1:80", "127.0.0.2:80"),
    ("unix:/run/a", "unix:/run/b"),
    ("unix:/run/a", "127.0.0.1:80"),
]


@pytest.mark.parametrize(("one", "two"), COMPATIBLE)
def test_addresses_that_can_be_bound_side_by_side_are_no_problem(one: str, two: str) -> None:
    assert problems(SOUND.replace("127.0.0.1:8080", one).replace("127.0.0.1:8081", two)) == []


def test_one_mistake_brings_no_second_problem() -> None:
    for old, new in (("mode = tcp", "mode = tcpp"), ("path = /app/", "path = app/"), ("127.0.0.1:9002", "nine")):
        assert len(problems(SOUND.replace(old, new))) == 1


def test_a_configuration_without_listeners_is_a_problem_of_the_file() -> None:
    assert problems("") == [
        "x: nothing would listen: it needs a [listener NAME] with bind = 127.0.0.1:8080, for example"
    ]
