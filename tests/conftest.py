"""Fixtures that every test may use: gateways as real processes, and servers that follow a script."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.doubles.gateway import Gateway, start
from tests.doubles.peers import Script, ScriptedServer

# The time that an example takes is the machine's affair; and the same tree gives the same examples, so that a run fails
# for what changed.  `pytest --hypothesis-profile=explore` looks for others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile("same")

# The soft limit is low on some machines; tests with thousands of connections are not about it.
_now, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
if 0 < _now < 20_000:
    resource.setrlimit(resource.RLIMIT_NOFILE, (20_000 if _most < 0 else min(_most, 20_000), _most))

StartGateway = Callable[..., Gateway]
Serve = Callable[..., ScriptedServer]


@pytest.fixture
def start_gateway(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartGateway]:
    """``start_gateway(ini_text, **values)``: see ``tests.doubles.gateway.start``; the clean end of each is asserted."""
    started: list[Gateway] = []

    def begin(text: str, **values: Any) -> Gateway:
        gateway = start(text, tmp_path / f"gateway{len(started)}", **values)
        started.append(gateway)
        return gateway

    failures = request.session.testsfailed
    try:
        yield begin
        if request.session.testsfailed == failures:
            for gateway in started:
                gateway.stop()
    finally:
        for gateway in started:
            gateway.kill()
            if request.session.testsfailed != failures:
                print(f"--- {gateway.directory.name}\n{gateway.log}")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(script, **options)``: a ``ScriptedServer``; what its scripts raised fails the test at its end."""
    with ExitStack() as stack:

        def begin(script: Script, **options: Any) -> ScriptedServer:
            return stack.enter_context(ScriptedServer(script, **options))

        yield begin
