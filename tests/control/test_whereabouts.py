"""What goes wrong after the reading has its file and line, where there still is such a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgate.control.whereabouts import OptionError, placed

INI = """[gateway]
workers = 2
[listener web]
bind = 127.0.0.1:80,
    127.0.0.1:81
[tls site]
certificate = site.pem
[route home]
on_message = package.module:function
"""


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> str:
    path = tmp_path / "wsgate.ini"
    path.write_text(INI)
    return str(path)


@pytest.mark.parametrize(
    ("option", "item", "told"),
    [
        ("bind", "127.0.0.1:81", ":5: [listener web] bind = 127.0.0.1:81: taken"),
        ("bind", "127.0.0.1:80", ":4: [listener web] bind = 127.0.0.1:80,: taken"),
        ("backlog", "", ":3: [listener web]: taken"),
    ],
)
def test_an_option_is_told_with_its_line(source: str, option: str, item: str, told: str) -> None:
    assert str(OptionError(source, "listener", "web", option, "taken", item)) == source + told


def test_without_the_file_the_section_is_told() -> None:
    assert str(OptionError("text", "listener", "web", "bind", "taken")) == "text: [listener web]: taken"


def test_an_error_that_begins_with_a_value_gets_its_line(source: str) -> None:
    pem = f"{Path(source).parent}/site.pem: cannot be read"
    assert placed(pem, source) == f"{source}:7: [tls site] certificate: {pem}"
    hook = "package.module:function cannot be loaded"
    assert placed(hook, source) == f"{source}:9: [route home] on_message: {hook}"


def test_other_errors_stay_as_they_are(source: str) -> None:
    for error in ("the gateway stops", f"{source}:7: no", "2: no", ""):
        assert placed(error, source) == error
