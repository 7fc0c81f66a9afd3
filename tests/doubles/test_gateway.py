"""The process double fills INI texts in, waits for listening ports and asserts a clean end; tried on a stand-in."""

from __future__ import annotations

import os
import signal
import socket
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.doubles import processes
from tests.doubles.gateway import ROOT, Gateway, render, start

STAND_IN = """
import signal
import sys
from configparser import ConfigParser
from twisted.application.internet import TCPServer
from twisted.application.service import ServiceMaker
from twisted.internet import reactor
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.python.usage import Options as _Options


class Options(_Options):
    optParameters = [["config", "c", None, "an INI file"]]


class Greet(Protocol):
    def connectionMade(self):
        self.transport.write(b"hello")
        self.transport.loseConnection()


def makeService(options):
    ini = ConfigParser()
    ini.read(options["config"])
    with open(ini["gateway"]["access_log"], "w") as log:
        log.write('{"route": "stand-in"}\\n{"unfinished')
    if ini.has_option("gateway", "fault"):
        print(ini["gateway"]["fault"])
    reactor.callWhenRunning(signal.signal, signal.SIGUSR1, print)
    factory = ServerFactory()
    factory.protocol = Greet
    return TCPServer(int(ini["listener"]["port"]), factory, interface="127.0.0.1")


wsgate = ServiceMaker("stand-in", __name__, "a stand-in", "wsgate")
"""

INI = "[gateway]\n{extra}\n[listener]\nport = {web}\n"


@pytest.fixture(name="environment")
def _environment(tmp_path: Path) -> dict[str, str]:
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "stand_in_plugin.py").write_text(STAND_IN)
    # In front of the project's own plugin, whose root must not be on the path here.
    return {"PYTHONPATH": str(tmp_path)}


def _start(tmp_path: Path, environment: dict[str, str], extra: str = "") -> Gateway:
    return start(INI, tmp_path / "gateway", environment=environment, extra=extra)


def test_a_process_is_started_measured_and_ended(tmp_path: Path, environment: dict[str, str]) -> None:
    gateway = _start(tmp_path, environment)
    try:
        with gateway.connect("web") as wire:
            assert wire.rest() == b"hello"
        assert gateway.records(1) == [{"route": "stand-in"}]
        assert gateway.rss() > 10 * 2**20 and gateway.fds() > 3 and gateway.cpu() > 0
        assert gateway.url("web", "/x") == f"ws://localhost:{gateway.ports['web']}/x"
        gateway.stop()
    finally:
        gateway.kill()


def test_a_traceback_in_the_log_is_no_clean_end(tmp_path: Path, environment: dict[str, str]) -> None:
    gateway = _start(tmp_path, environment, extra="fault = Traceback (most recent call last)")
    with pytest.raises(AssertionError, match="Traceback"):
        gateway.stop()


def test_a_killed_process_is_no_clean_end(tmp_path: Path, environment: dict[str, str]) -> None:
    gateway = _start(tmp_path, environment)
    gateway.signal(signal.SIGKILL)
    gateway.wait()
    with pytest.raises(AssertionError, match="ended with -9"):
        gateway.stop()


def test_a_process_that_cannot_start_shows_its_log(tmp_path: Path, environment: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="NoSectionError|KeyError"):
        start("[gateway]\n", tmp_path / "gateway", environment=environment)


def test_an_ini_text_keeps_what_it_says_itself(tmp_path: Path) -> None:
    text = "[gateway]\naccess_format = text\n[route a]\npath = ~ ^/a{2}$\nredirect = $host{port}\nx = {given} {port}\n"
    filled, ports = render(text, tmp_path, {"given": 7})
    ini = ConfigParser(interpolation=None)
    ini.read_string(filled)
    assert ini["gateway"]["access_format"] == "text"
    assert ini["gateway"]["access_log"] == f"{tmp_path}/access.log"
    assert ini["route a"]["path"] == "~ ^/a{2}$"
    assert ini["route a"]["x"] == f"7 {ports['port']}"
    assert list(ports) == ["port"]


def test_an_ini_text_without_a_gateway_section_gets_one(tmp_path: Path) -> None:
    filled, ports = render("[listener web]\nbind = 127.0.0.1:{web}\n", tmp_path, {})
    assert filled.startswith(f"[gateway]\nstate_dir = {tmp_path}/state\n")
    assert f"bind = 127.0.0.1:{ports['web']}\n" in filled


def test_listening_sockets_of_every_family_are_found(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(path)
            assert path not in processes.listening(os.getpid())
            unix.listen()
            wanted = {four.getsockname()[1], six.getsockname()[1], path}
            assert wanted <= processes.listening(os.getpid())


def test_the_root_is_the_root_of_the_project() -> None:
    assert (ROOT / "setup.cfg").is_file()
