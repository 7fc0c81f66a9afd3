"""What probes said stays until they say otherwise, or nobody asks any more."""

from __future__ import annotations

from wsgate.balance.places import LocalPlaces
from wsgate.control.health import down_key
from wsgate.control.verdicts import Verdicts


def test_a_server_that_is_down_is_counted_once() -> None:
    places = LocalPlaces()
    verdicts = Verdicts(places)
    verdicts.heard("pool/a", up=True)
    verdicts.heard("pool/a", up=False)
    verdicts.heard("pool/a", up=False)
    assert places.count(down_key("pool/a")) == 1
    verdicts.heard("pool/a", up=True)
    verdicts.heard("pool/a", up=True)
    assert places.count(down_key("pool/a")) == 0


def test_what_is_probed_no_more_is_forgotten() -> None:
    places = LocalPlaces()
    verdicts = Verdicts(places)
    for key in ("pool/a", "pool/b"):
        verdicts.heard(key, up=False)
    verdicts.keep({"pool/b"})
    assert (places.count(down_key("pool/a")), places.count(down_key("pool/b"))) == (0, 1)
