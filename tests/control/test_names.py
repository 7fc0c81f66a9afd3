"""Names are asked for on real sockets, of a server that says what it likes (rows 24 and 25 of the faults)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.names import dns
from twisted.python.failure import Failure

from tests.doubles.dns import DnsServer
from tests.doubles.waiting import until
from wsgate.config.model import Address
from wsgate.control import names
from wsgate.control.names import Found, Names, NoAnswer


class Asking:
    """A reactor of its own, and one DNS server."""

    def __init__(self, tries: tuple[float, ...] = (5.0,)) -> None:
        self.reactor: Any = EPollReactor()
        self.server = DnsServer(ttl=7)
        host, _, port = self.server.address.partition(":")
        self.names = Names(self.reactor, [Address(host, int(port))], tries)

    def answer(self, asked: Deferred[Any]) -> Any:
        """What comes of it; a failure as its text."""
        heard: list[Any] = []
        asked.addBoth(heard.append)

        def turned() -> bool:
            self.reactor.iterate(0.01)
            return bool(heard)

        until(turned, "an answer")
        if isinstance(heard[0], Failure):
            heard[0].trap(NoAnswer)
            return heard[0].getErrorMessage()
        return heard[0]

    def addresses(self) -> Any:
        return self.answer(self.names.addresses("app.test"))

    def close(self) -> None:
        self.server.stop()
        for reader in self.reactor.removeAll():
            reader.connectionLost(Failure(NoAnswer("over")))


@pytest.fixture
def asking() -> Iterator[Asking]:
    asking = Asking()
    yield asking
    asking.close()


def test_ipv4_and_ipv6_are_found_with_the_shortest_time(asking: Asking) -> None:
    asking.server.records["app.test"] = [
        dns.Record_AAAA("::1"),
        dns.Record_A("127.0.0.9"),
        dns.Record_A("127.0.0.9"),
        dns.Record_A("127.0.0.8"),
    ]
    assert asking.addresses() == Found(("127.0.0.9", "127.0.0.8", "::1"), 7.0)


def test_one_family_is_enough(asking: Asking) -> None:
    asking.server.records["app.test"] = [dns.Record_AAAA("2001:db8::1")]
    assert asking.addresses().addresses == ("2001:db8::1",)


def test_an_alias_is_followed_in_the_answer(asking: Asking) -> None:
    asking.server.aliases["app.test"] = "real.test"
    asking.server.records["real.test"] = [dns.Record_A("127.0.0.7")]
    assert asking.addresses().addresses == ("127.0.0.7",)


def test_a_name_that_is_not_there_and_one_without_addresses_are_no_answer(asking: Asking) -> None:
    assert asking.addresses() == "there is no such name"
    asking.server.records["app.test"] = []
    assert asking.addresses() == "no addresses"


def test_silence_is_no_answer() -> None:
    asking = Asking(tries=(0.05, 0.05))
    asking.server.mute = True
    assert asking.addresses() == "DNS does not answer"
    assert asking.server.asked["app.test"] >= 4, "each family, each try"
    asking.close()


_HEAD = b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
FORGED = {
    "a pointer at itself": _HEAD + b"\xc0\x0c" * 200,
    "two pointers at each other": _HEAD + b"\xc0\x0e\xc0\x0c\x00\x01\x00\x01" * 30,
    "a pointer ahead": _HEAD + b"\x03app\xff\xff\x00\x01\x00\x01",
    "more records than bytes": b"\x81\x80\xff\xff\xff\xff\xff\xff\xff\xff" + b"\x00" * 400,
    "many names of pointers": b"\x81\x80\x00\x01\x10\x00\x00\x00\x00\x00"
    + b"\x01a" * 100
    + b"\x00\x00\x01\x00\x01"
    + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x7f\x00\x00\x01" * 200,
    "a piece": b"\x81",
    "nothing but zeros": bytes(8000),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_what_is_no_answer_is_dropped_and_costs_little(forged: bytes) -> None:
    asking = Asking(tries=(0.05,))
    asking.server.forge = forged
    before = time.process_time()
    # One that can be read may say what it likes: it comes from the server that was asked.
    assert asking.addresses() in ("no addresses", "DNS does not answer", Found(("127.0.0.1",), 1.0))
    assert time.process_time() - before < 2
    asking.close()


def test_an_answer_with_another_number_or_from_elsewhere_is_not_heard(asking: Asking) -> None:
    asking.server.records["app.test"] = [dns.Record_A("127.0.0.1")]
    asking.server.impostor["app.test"] = [dns.Record_A("127.0.0.66")]
    for _ in range(5):
        assert asking.addresses().addresses == ("127.0.0.1",)
    asking.server.impostor.clear()
    asking.server.misnumbered["app.test"] = [dns.Record_A("127.0.0.66")]
    for _ in range(5):
        assert asking.addresses().addresses == ("127.0.0.1",)


def test_a_great_many_addresses_are_cut(asking: Asking) -> None:
    asking.server.records["app.test"] = [
        dns.Record_A(f"127.0.{high}.{low}") for high in range(2) for low in range(1, 200)
    ]
    assert len(asking.addresses().addresses) == names.MOST


def test_services_come_with_the_addresses_of_their_targets(asking: Asking) -> None:
    asking.server.records |= {
        "_ws._tcp.test": [dns.Record_SRV(1, 2, 9000, "a.test"), dns.Record_SRV(1, 2, 9001, "nobody.test")],
        "a.test": [dns.Record_A("127.0.0.5")],
    }
    ((service,), ttl) = asking.answer(asking.names.services("_ws._tcp.test"))
    assert (service.port, service.target, service.addresses, ttl) == (9000, "a.test", ("127.0.0.5",), 7.0)
    asking.server.records["_ws._tcp.test"] = [dns.Record_SRV(0, 0, 0, b"")]
    assert asking.answer(asking.names.services("_ws._tcp.test")) == "no SRV records"
    asking.server.records["_ws._tcp.test"] = [dns.Record_SRV(0, 0, 1, "nobody.test")]
    assert "no target" in asking.answer(asking.names.services("_ws._tcp.test"))


def test_the_system_is_asked_beside_the_loop(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "127.0.0.1" in asking.answer(asking.names.system_addresses("localhost")).addresses
    go_on = threading.Event()

    def slow(name: str, port: object, **options: object) -> list[Any]:
        assert go_on.wait(20)
        raise OSError(-2, f"{name} is not known")

    monkeypatch.setattr(names, "getaddrinfo", slow)
    asked = asking.names.system_addresses("app.test")
    turns: list[int] = []
    for number in range(5):
        asking.reactor.callLater(0, turns.append, number)
        asking.reactor.iterate(0.01)
    assert turns and not asked.called
    go_on.set()
    assert asking.answer(asked) == "app.test is not known"
