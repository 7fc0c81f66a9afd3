"""What discovery found, as JSON between the process that asks and its parent, which believes nothing unread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from wsgate.config.model import Address, Server
from wsgate.control.discovery import Resolved, Servers
from wsgate.control.material import is_ip

_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


def pack(resolved: Resolved, found: Servers) -> dict[str, Any]:
    """As JSON has it; ``unpack`` is the way back."""
    return {
        "resolved": {key: list(addresses) for key, addresses in resolved.items()},
        "found": {key: [asdict(server) for server in servers] for key, servers in found.items()},
    }


def unpack(facts: Mapping[str, Any]) -> tuple[Resolved, Servers]:
    """Raises ValueError where it is not what ``pack`` makes: servers are addresses and nothing else."""
    try:
        resolved = {str(key): tuple(map(_ip, addresses)) for key, addresses in facts["resolved"].items()}
        found = {str(key): tuple(map(_server, servers)) for key, servers in facts["found"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no findings: {error!r}") from None
    return resolved, found


def _ip(text: Any) -> str:
    if not isinstance(text, str) or not is_ip(text):
        raise ValueError(f"no address: {text!r}")
    return text


def _server(facts: Mapping[str, Any]) -> Server:
    address = _made(Address, facts["address"])
    server: Server = _made(Server, {**facts, "address": address}, own="address")
    if server.srv or server.file or server.factory or not (address.is_unix or is_ip(address.host)):
        raise ValueError(f"no address of a server: {server}")
    return server


def _made(kind: Any, facts: Mapping[str, Any], own: str = "") -> Any:
    """An object of plain fields, each of its type; ``own`` was made before."""
    for field in fields(kind):
        name, value = field.name, facts[field.name]
        if name != own and type(value) not in _TYPES[str(field.type)]:
            raise ValueError(f"{name} of a server is {value!r}")
    return kind(**facts)
