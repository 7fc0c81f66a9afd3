"""The table of options: whole, consistent with the model, and each default is a value of its kind."""

from __future__ import annotations

from dataclasses import fields

import pytest

from wsgate.config import model
from wsgate.config.build import SNI
from wsgate.config.kinds import COUNT, NAME
from wsgate.config.options import LIMITS, OPTIONS, SECTIONS, Option, of_section


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: f"{option.section}.{option.name}")
def test_each_option_is_complete(option: Option) -> None:
    assert option.section in SECTIONS
    assert option.doc.endswith(".")
    assert option.shown, "something to show in the sample"
    assert option.kind.parse(option.shown) is not None
    if option.default == "":
        assert option.parse("") is option.kind.empty
    else:
        assert option.parse(option.shown) == option.fallback() or option.example


def test_no_option_stands_twice() -> None:
    names = [(option.section, option.name) for option in OPTIONS]
    assert len(set(names)) == len(names)


def test_an_option_that_must_be_given_has_an_example_to_go_on_with() -> None:
    assert Option("s", "n", COUNT, None, "Doc.", "7").fallback() == 7
    assert Option("s", "n", COUNT, "3", "Doc.", "7").fallback() == 3
    assert Option("s", "n", NAME, "", "Doc.", "x").fallback() == ""


def test_the_options_of_a_section_keep_their_order() -> None:
    assert list(of_section("app")) == ["kind", "bind"]
    assert list(of_section("nothing")) == []


def names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def test_every_field_of_the_model_has_its_option() -> None:
    assert set(of_section("gateway")) == names(model.GatewayOptions)
    assert set(of_section("listener")) | {"name"} == names(model.Listener)
    assert set(of_section("tls")) | {"name"} == names(model.TlsOptions)
    assert set(of_section("app")) | {"name"} == names(model.App)
    assert {option for option in of_section("upstream") if not option.startswith("tls_")} | {"name"} == names(
        model.Upstream
    )
    assert {f"tls_{name}" for name in names(model.UpstreamTls)} <= set(of_section("upstream"))
    apart = {*SNI, "listener", "host", "upstream", "static", "redirect", "respond", "static_index", "static_max_age"}
    built = {"name", "listeners", "hosts", "target", "limits"}
    assert set(of_section("route")) - apart - set(LIMITS) == names(model.Route) - built
    assert set(LIMITS) == names(model.RelayLimits)
