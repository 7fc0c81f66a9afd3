"""What is measured: one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

RELAYS = ("frames", "tunnel", "messages")

IDLE_CONNECTIONS = 2000
PUSH_SIZE = 65_536


class Unit(Enum):
    """What the cost of a case is counted in: the key of gwbench's answer, and the words of the table."""

    MESSAGE = ("cpu_us_per_msg", "msgs_per_s", "CPU us/message", "messages/s")
    CONNECTION = ("cpu_us_per_conn", "conns_per_s", "CPU us/connection", "connections/s")
    GIGABYTE = ("cpu_s_per_GB", "MB_per_s", "CPU s/GB", "MB/s")
    IDLE = ("rss_growth_kB_per_conn", "", "kB/connection", "")

    @property
    def cost(self) -> str:
        return self.value[0]

    @property
    def rate(self) -> str:
        return self.value[1]

    @property
    def words(self) -> str:
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Case:
    """One row: ``port`` names the gateway's listener, ``relay`` the route behind it (empty on Layer 4)."""

    name: str
    unit: Unit
    port: str
    arguments: tuple[str, ...]
    relay: str = ""
    path: str = ""

    @property
    def fresh(self) -> bool:
        """Whether it needs a process that has served nothing yet."""
        return self.unit is Unit.IDLE

    def client(self, seconds: float) -> list[str]:
        """The arguments of the gwbench client."""
        path = ["--ws", f"/{self.path}"] if self.path else []
        tls = ["--tls"] if self.port.endswith("tls") else []
        return [*self.arguments, *path, *tls, "-d", f"{seconds:g}"]


_ONE = ("-c", "1", "-s", "128")
_MANY = ("-c", "50", "-w", "4", "-s", "128")
_LARGE = ("-c", "4", "-w", "2", "-s", "65536")
_PULL = ("--mode", "pull", "-c", "4")
_CONNECT = ("--mode", "connect", "-c", "8", "-s", "16")
_IDLE = ("--mode", "idle", "-c", str(IDLE_CONNECTIONS))

_LAYER_4 = (
    Case("l4 echo 128 c=1", Unit.MESSAGE, "l4", _ONE),
    Case("l4 echo 128 c=50 w=4", Unit.MESSAGE, "l4", _MANY),
    Case("l4 echo 64k", Unit.MESSAGE, "l4", _LARGE),
    Case("l4 pull", Unit.GIGABYTE, "l4push", _PULL),
    Case("l4 connect", Unit.CONNECTION, "l4", _CONNECT),
    Case("l4 tls echo 128 c=50 w=4", Unit.MESSAGE, "l4tls", _MANY),
    Case("l4 tls handshake", Unit.CONNECTION, "l4tls", _CONNECT),
    Case("l4 idle", Unit.IDLE, "l4", _IDLE),
    Case("l4 tls idle", Unit.IDLE, "l4tls", _IDLE),
)


def _websocket(port: str, label: str, relay: str) -> Iterator[Case]:
    echo, push = relay, f"{relay}-push"
    yield Case(f"{label} echo 128 c=1", Unit.MESSAGE, port, _ONE, relay, echo)
    yield Case(f"{label} echo 128 c=50 w=4", Unit.MESSAGE, port, _MANY, relay, echo)
    yield Case(f"{label} echo 64k", Unit.MESSAGE, port, _LARGE, relay, echo)
    yield Case(f"{label} pull", Unit.GIGABYTE, port, _PULL, relay, push)
    yield Case(f"{label} connect", Unit.CONNECTION, port, _CONNECT, relay, echo)
    yield Case(f"{label} idle", Unit.IDLE, port, _IDLE, relay, echo)


def cases(patterns: Sequence[str], relays: Sequence[str]) -> list[Case]:
    """The cases whose name matches a pattern (``ws *``), for these relays; those of one kind stay together."""
    found = list(_LAYER_4)
    for port, label in (("http", "ws"), ("httptls", "wss")):
        groups = [list(_websocket(port, label, relay)) for relay in relays]
        found += [case for row in zip(*groups, strict=True) for case in row]
    return [case for case in found if any(fnmatchcase(case.name, pattern) for pattern in patterns)]
