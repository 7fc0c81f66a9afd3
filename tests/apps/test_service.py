from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.application.service import IService
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from websockets.sync.client import unix_connect
from zope.interface.verify import verifyObject

from tests.doubles.waiting import until
from wsgate.apps.service import app_service
from wsgate.config.model import Address, App

TCP = App("wsapp", "echo", Address("127.0.0.1", 2222))

RUN_ON_A_UNIX_SOCKET = """
import sys
from twisted.internet import reactor
from wsgate.apps.service import app_service
from wsgate.config.model import Address, App
service = app_service(App("wsapp", "echo", Address(path=sys.argv[1])), reactor)
service.privilegedStartService()
service.startService()
reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
reactor.run()
"""


def test_it_is_a_twisted_service_with_the_name_of_its_section() -> None:
    service = app_service(TCP, MemoryReactorClock())
    assert verifyObject(IService, service)
    assert service.name == "wsapp"


def test_it_listens_once_where_it_is_bound() -> None:
    reactor = MemoryReactorClock()
    service = app_service(TCP, reactor)
    assert (reactor.tcpServers, service.address) == ([], None)
    service.privilegedStartService()
    service.startService()
    ((port, factory, _backlog, interface),) = reactor.tcpServers
    assert (port, interface, factory.name) == (2222, "127.0.0.1", "wsapp")
    assert service.address is not None
    assert service.running


def test_stopping_ends_the_listening_and_it_can_start_again() -> None:
    reactor = MemoryReactorClock()
    service = app_service(TCP, reactor)
    service.startService()
    assert service.stopService().called
    assert (service.running, service.address) == (0, None)
    service.startService()
    assert service.address is not None


def test_it_can_stop_listening_and_go_on() -> None:
    service = app_service(TCP, MemoryReactorClock())
    service.startService()
    assert service.stop_accepting().called
    assert (service.running, service.address) == (1, None)
    assert service.stopService().called


def test_stopping_what_never_started_is_nothing() -> None:
    assert app_service(TCP, MemoryReactorClock()).stopService().called


def test_a_taken_port_is_the_callers_to_tell() -> None:
    class Taken(MemoryReactorClock):
        def listenTCP(self, *args: object, **kwargs: object) -> object:
            raise CannotListenError("127.0.0.1", 2222, OSError("in use"))

    service = app_service(TCP, Taken())
    with pytest.raises(CannotListenError):
        service.startService()
    assert not service.running


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        app_service(App("a", "nothing", Address("127.0.0.1", 0)), MemoryReactorClock())


def test_a_unix_socket_is_served_closed_with_1001_and_taken_over_from_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    ends = ((signal.SIGKILL, 1006), (signal.SIGTERM, 1001))
    for end, code in ends:
        with subprocess.Popen([sys.executable, "-c", RUN_ON_A_UNIX_SOCKET, str(path)]) as process:
            try:
                with until(lambda: _open(path), "the app answers on its unix socket") as websocket:
                    websocket.send("hello")
                    assert websocket.recv(timeout=60) == "hello"
                    assert path.stat().st_mode & 0o777 == 0o660
                    os.kill(process.pid, end)
                    process.wait(60)
                    until(lambda w=websocket: _is_closed(w), "the close has arrived")
                assert (websocket.close_code or 1006) == code
            finally:
                process.kill()
    assert not path.exists()


def _open(path: Path) -> object:
    try:
        return unix_connect(str(path), "ws://localhost/x", legacy=True)
    except OSError:
        return None


def _is_closed(websocket: object) -> bool:
    return websocket.protocol.state.name == "CLOSED"
