"""Steering a gateway that runs: orders over its control socket, and edits of its INI."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

from tests.doubles.gateway import ROOT, Gateway
from tests.doubles.http import read_answer, request
from tests.doubles.waiting import until
from wsgate.control.client import NoGatewayError, ask


def order(gateway: Gateway, name: str, /, **facts: Any) -> dict[str, Any]:
    """The answer of the gateway to an order."""
    return ask(gateway.directory / "state", name, facts, 120.0)


def obeyed(gateway: Gateway, name: str, /, **facts: Any) -> dict[str, Any]:
    """The answer to an order that must be obeyed."""
    answer = order(gateway, name, **facts)
    assert answer["ok"], answer
    return answer


def edit(gateway: Gateway, before: str, after: str) -> None:
    """Change the INI: ``before`` must be in it."""
    path = gateway.directory / "wsgate.ini"
    text = path.read_text()
    assert before in text, text
    path.write_text(text.replace(before, after))


def workers(gateway: Gateway) -> list[dict[str, Any]]:
    """What each worker says of itself."""
    return list(obeyed(gateway, "status")["workers"])


def wait_ready(gateway: Gateway) -> None:
    """Wait until every worker accepts."""

    def ready() -> bool:
        try:
            return bool(order(gateway, "ready")["ok"])
        except NoGatewayError:
            return False

    until(ready, "a ready gateway")


def command(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command ``wsgate`` says, with the gateway's INI."""
    return subprocess.run(
        [sys.executable, "-m", "wsgate", *arguments, "--config", str(gateway.directory / "wsgate.ini")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def page(gateway: Gateway, name: str = "web", target: str = "/") -> str:
    """The body of a page on a new connection."""
    with gateway.connect(name) as wire:
        wire.send(request("GET", target, "Connection: close"))
        return read_answer(wire).body.decode()


def status(gateway: Gateway, target: str, name: str = "web") -> int:
    """The status of a request on a new connection."""
    with gateway.connect(name) as wire:
        wire.send(request("GET", target, "Connection: close"))
        return read_answer(wire).status


def end(gateway: Gateway) -> int:
    """Its exit code after SIGTERM."""
    gateway.signal(signal.SIGTERM)
    return gateway.wait()
