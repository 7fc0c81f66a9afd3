"""What is not installed is named with what would install it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gateways import GATEWAYS, Gateway
from bench.own import wsgate
from bench.place import LISTENERS


def test_debian_packages_are_named_together() -> None:
    packages = (("no-such-program", "first"), ("/no/such/module.so", "second"), ("sh", "third"))
    assert Gateway(wsgate, packages=packages).missing(Path("/")) == "apt-get install first second"


def test_programs_of_python_come_from_make(tmp_path: Path) -> None:
    gateway = Gateway(wsgate, program="some")
    assert gateway.missing(tmp_path) == "make .venv-bench/.installed"
    (tmp_path / "some").touch()
    assert gateway.missing(tmp_path) is None


@pytest.mark.parametrize("name", GATEWAYS)
def test_listeners_are_known(name: str) -> None:
    assert set(GATEWAYS[name].listeners) <= set(LISTENERS)
