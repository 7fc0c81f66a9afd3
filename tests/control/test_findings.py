"""What discovery found goes to the parent and comes out the same; anything else is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from wsgate.config.model import Address, Server
from wsgate.control.findings import pack, unpack

SERVER = Server(Address("192.0.2.1", 80), weight=3, fail_timeout=0.5, backup=True, name="app.test")
UNIX = Server(Address(path="/run/app.sock"))


def packed(server: Server = SERVER) -> dict[str, Any]:
    return dict(json.loads(json.dumps(pack({"app.test:80": ("192.0.2.1", "2001:db8::1")}, {"pool/srv:x": (server,)}))))


@pytest.mark.parametrize("server", [SERVER, UNIX])
def test_findings_come_out_as_they_went_in(server: Server) -> None:
    assert unpack(packed(server)) == ({"app.test:80": ("192.0.2.1", "2001:db8::1")}, {"pool/srv:x": (server,)})


def test_a_name_is_no_address() -> None:
    with pytest.raises(ValueError, match="no address: 'elsewhere.test'"):
        unpack({"resolved": {"app.test:80": ["elsewhere.test"]}, "found": {}})
    with pytest.raises(ValueError, match="no address of a server"):
        unpack(packed(replace(SERVER, address=Address("elsewhere.test", 80))))


@pytest.mark.parametrize("source", [{"srv": "x"}, {"file": "/x"}, {"factory": "os:system"}])
def test_a_server_that_is_found_names_no_other_source(source: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no address of a server"):
        unpack(packed(replace(SERVER, **source)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("weight", "3"), ("weight", True), ("down", 1), ("name", None)])
def test_every_field_has_its_type(name: str, value: object) -> None:
    facts = packed()
    facts["found"]["pool/srv:x"][0][name] = value
    with pytest.raises(ValueError, match=f"{name} of a server is"):
        unpack(facts)


@pytest.mark.parametrize("facts", [{}, {"resolved": [], "found": {}}, {"resolved": {}, "found": {"x": [1]}}])
def test_what_is_no_finding_is_refused(facts: Any) -> None:
    with pytest.raises(ValueError, match="no findings"):
        unpack(facts)
