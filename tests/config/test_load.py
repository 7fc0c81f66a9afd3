"""The corpus of INIs: what is wrong with a bad one, line for line, and what a good one means."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from wsgate.config.explain import summary
from wsgate.config.load import load_config, parse_config
from wsgate.config.problems import ConfigError

CORPUS = Path(__file__).parent.parent / "corpus" / "config"
MINIMAL = "[listener web]\nbind = 127.0.0.1:1\n[route r]\nrespond = 404\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A directory with the files that the corpus names."""
    (tmp_path / "www").mkdir()
    for name, mode in {"cert.pem": 0o644, "key.pem": 0o600, "open.pem": 0o660, "grouped.pem": 0o640}.items():
        (tmp_path / name).write_text("PEM\n")
        (tmp_path / name).chmod(mode)
    if os.getuid() != 0:
        (tmp_path / "grouped.pem").chmod(0o600)
    return tmp_path


def outcome(text: str, base: Path) -> str:
    try:
        told = summary(parse_config(text, "test.ini", base))
    except ConfigError as error:
        told = str(error)
    return told.replace(str(base), "BASE")


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.txt")), ids=lambda path: path.stem)
def test_each_ini_of_the_corpus_has_its_expected_outcome(path: Path, base: Path) -> None:
    text, _, expected = path.read_text(encoding="utf-8").partition("----\n")
    assert outcome(text, base) == expected.rstrip("\n")


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.txt")), ids=lambda path: path.stem)
def test_windows_line_ends_change_nothing(path: Path, base: Path) -> None:
    text, _, expected = path.read_text(encoding="utf-8").partition("----\n")
    assert outcome(text.replace("\n", "\r\n"), base) == expected.rstrip("\n")


def test_a_file_is_loaded_with_paths_relative_to_its_directory(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc = base / "etc"
    etc.mkdir()
    (etc / "gate.ini").write_text(MINIMAL.replace("respond = 404", "static = ../www"))
    monkeypatch.chdir(base)
    config = load_config(Path("etc/gate.ini"))
    assert config.source == str(etc / "gate.ini")
    assert config.gateway.state_dir == etc / "state"
    assert summary(config).endswith(f"/ -> files in {base / 'www'}")


def test_problems_name_the_file_as_the_operator_did(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / "gate.ini").write_text(MINIMAL + "mod = tcp\n")
    monkeypatch.chdir(base)
    with pytest.raises(ConfigError, match=r"^gate\.ini:5: \[route r\] mod: unknown option"):
        load_config(Path("gate.ini"))


def test_a_file_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.ini: cannot be read: No such file or directory$") as caught:
        load_config(tmp_path / "gone.ini")
    assert [problem.line for problem in caught.value.problems] == [0]


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "latin.ini").write_bytes(b"[gateway]\n\nserver_header = caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.ini:3: not UTF-8"):
        load_config(tmp_path / "latin.ini")


def test_equal_texts_give_equal_configurations_whatever_is_warned(base: Path) -> None:
    unused = "[upstream u]\nservers = 127.0.0.1:9\n"
    one, two = (parse_config(MINIMAL + unused + end, "test.ini", base) for end in ("", "; a comment\n"))
    assert one == two
    assert one.warnings == ("test.ini:5: [upstream u]: is not used: nothing names it",)


def test_values_have_the_types_that_the_model_declares(base: Path) -> None:
    text, _, _ = (CORPUS / "everything.txt").read_text(encoding="utf-8").partition("----\n")
    checked = check_types(parse_config(text, "test.ini", base))
    assert {"RelayLimits", "UpstreamTls", "Server", "PathPattern", "GatewayOptions", "App"} <= checked


def check_types(value: Any) -> set[str]:
    """Walk a dataclass, compare each plain value with its annotation, and tell which classes were seen."""
    seen = {type(value).__name__}
    hints = get_type_hints(type(value))
    for field in fields(value):
        item, hint = getattr(value, field.name), hints[field.name]
        if isinstance(hint, type):
            assert type(item) is hint or (isinstance(item, hint) and hint not in (int, float)), field.name
        parts = item if isinstance(item, tuple) else item.values() if isinstance(item, dict) else [item]
        for part in parts:
            if is_dataclass(part):
                seen |= check_types(part)
    return seen
