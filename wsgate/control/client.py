"""Asking a running gateway over its control socket, from a program that blocks."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsgate.config import ini
from wsgate.config.build import anchored
from wsgate.config.options import of_section
from wsgate.config.values import BadValue
from wsgate.control.control_socket import NAME, short_path
from wsgate.errors import WsgateError


class NoGatewayError(WsgateError):
    """Nobody answers where a gateway should."""


def state_dir_of(config: Path) -> Path:
    """Where the gateway of an INI has its control socket; the rest of the INI may be wrong.  Raises NoGatewayError."""
    option = of_section("gateway")["state_dir"]
    value = option.fallback()
    try:
        for section in ini.read(config.read_text()).sections:
            if section.kind == "gateway" and "state_dir" in section.entries:
                value = option.parse(section.entries["state_dir"].text)
    except (OSError, UnicodeDecodeError, BadValue) as error:
        raise NoGatewayError(f"{config}: cannot tell the state_dir: {error}") from None
    found = anchored(value, config.absolute().parent)
    assert isinstance(found, Path)
    return found


def ask(state_dir: Path, order: str, facts: Mapping[str, Any], timeout: float | None = None) -> dict[str, Any]:
    """The answer to one order; waits for it for ``timeout`` seconds, or as long as it takes.

    Raises NoGatewayError.
    """
    try:
        with short_path(state_dir) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(path)
            sock.sendall(json.dumps({**facts, "order": order}).encode() + b"\n")
            with sock.makefile("rb") as lines:
                line = lines.readline()
    except OSError as error:
        raise NoGatewayError(f"no gateway answers at {state_dir / NAME}: {error.strerror or error}") from None
    if not line.endswith(b"\n"):
        raise NoGatewayError(f"the gateway at {state_dir / NAME} ended before it answered")
    answer = json.loads(line)
    assert isinstance(answer, dict)
    return answer
