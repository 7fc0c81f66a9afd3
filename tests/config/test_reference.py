"""The reference page and the sample: complete, current, and usable."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgate.config import ini
from wsgate.config.load import load_config, parse_config
from wsgate.config.options import OPTIONS, SECTIONS, of_section
from wsgate.config.problems import ConfigError
from wsgate.config.reference import reference, sample

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_current() -> None:
    page = (ROOT / "docs" / "configuration.rst").read_text(encoding="utf-8")
    assert page == reference(OPTIONS), "make it anew: wsgate options --page > docs/configuration.rst"


def test_the_page_tells_every_option_and_every_kind() -> None:
    page = reference(OPTIONS)
    for option in OPTIONS:
        assert f"\n``{option.name}``\n    *{option.kind.name}*, " in page
        if option.kind.doc:
            assert f"\n*{option.kind.name}*\n    " in page
    for section in SECTIONS.values():
        assert f"\n{section.header}\n{'-' * len(section.header)}\n" in page


def test_the_ini_of_the_page_is_one() -> None:
    block = reference(OPTIONS).split("code-block:: ini\n\n")[1].split("\n\nA section")[0]
    text = "\n".join(line.removeprefix("    ") for line in block.splitlines()) + "\n[route r]\nupstream = chat\n"
    config = parse_config(text, "page", Path("/nowhere"))
    assert [str(server) for server in config.upstreams["chat"].servers] == ["127.0.0.1:9001", "127.0.0.1:9002"]


def test_the_sample_is_all_comments() -> None:
    document = ini.read(sample(OPTIONS))
    assert (document.sections, document.faults) == ([], [])


def test_each_option_of_the_sample_can_be_switched_on() -> None:
    lines = [line[1:] for line in sample(OPTIONS).splitlines() if line.startswith(";") and not line.startswith("; ")]
    document = ini.read("\n".join(lines))
    assert document.faults == []
    assert {section.kind: list(section.entries) for section in document.sections} == {
        kind: list(of_section(kind)) for kind in SECTIONS
    }
    for section in document.sections:
        for name, option in of_section(section.kind).items():
            assert option.parse(section.entries[name].text) is not None


def test_the_switched_on_sample_has_only_problems_between_options(tmp_path: Path) -> None:
    text = "\n".join(line[1:] for line in sample(OPTIONS).splitlines() if not line.startswith("; "))
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "sample", tmp_path)
    assert not [
        problem for problem in caught.value.problems if "expected" in problem.text or "unknown option" in problem.text
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "etc").glob("*.ini")), ids=lambda path: path.name)
def test_the_sample_files_load_without_a_warning(path: Path) -> None:
    config = load_config(path)
    assert config.warnings == ()
    assert {server.address for upstream in config.upstreams.values() for server in upstream.servers} == {
        app.bind for app in config.apps
    }


def test_the_samples_are_the_ones_of_the_readme_and_the_tutorial() -> None:
    assert {path.name for path in (ROOT / "etc").glob("*.ini")} == {"wsgate.ini", "layer4.ini", "layer7.ini"}
