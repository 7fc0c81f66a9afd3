"""The same WebSockets, opened and closed in the same order, through wsgate and through nginx: who is picked?

``python -m tests.peers.side_by_side`` prints the table of docs/balancing.rst; it needs nginx.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from websockets.sync.client import ClientConnection
from websockets.sync.server import ServerConnection

from tests.doubles import processes
from tests.doubles.gateway import running
from tests.doubles.ports import free_port
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import Talk, WebSocketServer, open_client

NAMES = "abcd"

WSGATE = """
[listener web]
bind = 127.0.0.1:{web}

[route all]
path = /
upstream = servers
ping_interval = off

[upstream servers]
balance = {balance}
servers =
{servers}
"""

NGINX = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ }}
http {{
    access_log off;
    upstream servers {{
        {balance}
        {servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://servers;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Servers a, b, c ... with the words that nginx and wsgate share.

    ``steps``: a number opens so many WebSockets and holds them; a letter closes the oldest that its server has.
    ``dead`` are servers on whose ports nobody listens.
    """

    title: str
    balance: str
    servers: Sequence[str]
    steps: Sequence[int | str]
    dead: str = ""


SCENARIOS = (
    Scenario("smooth weights 5, 1, 1", "round_robin", ("weight=5", "weight=1", "weight=1"), (21,)),
    Scenario("smooth weights 3, 2, 1, held and closed", "round_robin", ("weight=3", "weight=2", ""), (7, "a", "b", 8)),
    Scenario("least connections, equal weights", "least_conn", ("", "", ""), (6, "b", "b", 4, "a", "c", 5)),
    Scenario(
        "least connections, weights 3, 2, 1",
        "least_conn",
        ("weight=3", "weight=2", "weight=1"),
        (12, "a", "a", "c", 6, "b", "b", "b", 6),
    ),
    Scenario("max_conns", "round_robin", ("max_conns=2", "max_conns=1", ""), (8, "a", 3)),
    Scenario("a dead server, max_fails=2", "round_robin", ("", "max_fails=2 fail_timeout=60s", ""), (12,), dead="b"),
    Scenario("a dead server, least connections", "least_conn", ("", "fail_timeout=60s", "weight=2"), (9,), dead="b"),
    Scenario("backup after the others", "round_robin", ("fail_timeout=60s", "backup"), (4,), dead="a"),
)


def picks(scenario: Scenario, url: str, ended: Sequence[str]) -> str:
    """Which servers were picked, in order; ``ended`` grows when a server sees the end of a WebSocket."""
    picked = ""
    held: list[tuple[str, ClientConnection]] = []
    with ExitStack() as stack:
        for step in scenario.steps:
            if isinstance(step, str):
                place = next(place for place, (name, _) in enumerate(held) if name == step)
                before = len(ended)
                held.pop(place)[1].close()
                until(lambda before=before: len(ended) > before, "the end at the server")  # type: ignore[misc]
                continue
            for _ in range(step):
                client = stack.enter_context(open_client(url))
                name = str(client.recv())
                held.append((name, client))
                picked += name
    return picked


@contextmanager
def servers_of(scenario: Scenario) -> Iterator[tuple[list[str], list[str]]]:
    """The servers, which say their names; gives them as both configurations name them, and a list for their ends."""
    with ExitStack() as stack:
        lines: list[str] = []
        ended: list[str] = []
        for name, words in zip(NAMES, scenario.servers, strict=False):
            if name in scenario.dead:
                address = f"127.0.0.1:{free_port()}"
            else:
                address = stack.enter_context(WebSocketServer(_saying(name, ended))).address
            lines.append(f"{address} {words}".strip())
        yield lines, ended


def _saying(name: str, ended: list[str]) -> Talk:
    def talk(connection: ServerConnection) -> None:
        connection.send(name)
        for _ in connection:
            pass
        ended.append(name)

    return talk


def by_wsgate(scenario: Scenario, directory: Path) -> str:
    """The picks of wsgate."""
    with servers_of(scenario) as (lines, ended):
        text = "".join(f"    {line}\n" for line in lines)
        with running(WSGATE, directory, balance=scenario.balance, servers=text) as gateway:
            return picks(scenario, gateway.url("web"), ended)


def by_nginx(scenario: Scenario, directory: Path) -> str:
    """The picks of nginx, with one worker."""
    port = free_port()
    with servers_of(scenario) as (lines, ended):
        text = NGINX.format(
            directory=directory,
            port=port,
            balance="" if scenario.balance == "round_robin" else f"{scenario.balance};",
            servers="\n        ".join(f"server {line};" for line in lines),
        )
        (directory / "nginx.conf").write_text(text)
        command = ["nginx", "-p", str(directory), "-e", str(directory / "error.log")]
        process = subprocess.Popen([*command, "-c", str(directory / "nginx.conf")], stderr=subprocess.DEVNULL)
        try:
            until(lambda: process.poll() is not None or port in processes.listening(process.pid), "nginx")
            assert process.poll() is None, (directory / "error.log").read_text()
            return picks(scenario, f"ws://127.0.0.1:{port}/", ended)
        finally:
            process.terminate()
            process.wait(60)


def compare(scenario: Scenario, directory: Path) -> tuple[str, str]:
    """The picks of wsgate and of nginx."""
    ours, theirs = directory / "wsgate", directory / "nginx"
    for place in (ours, theirs):
        place.mkdir()
    return by_wsgate(scenario, ours), by_nginx(scenario, theirs)


def main() -> None:
    """Print the table."""
    print(".. list-table::\n   :header-rows: 1\n\n   * - What\n     - Order\n     - Picks of both\n     - The same")
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory() as directory:
            ours, theirs = compare(scenario, Path(directory))
        same = "yes" if ours == theirs else f"no: nginx {theirs}"
        print(f"   * - {scenario.title}\n     - ``{scenario.balance}``\n     - ``{ours}``\n     - {same}")


if __name__ == "__main__":
    main()
