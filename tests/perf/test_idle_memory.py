"""What an idle WebSocket keeps in memory: counted where it was allocated, so that no other process and no allocator has
a part in it."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

import wsgate
from tests.perf.test_budget import Site

#: Bytes for both legs with their sockets, the relay and the place in the registry; resident memory grows a little more.
MOST = {"/frames": 3500, "/tunnel": 2400}
COUNT = 100


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def kept() -> int:
    """Bytes that the gateway's modules have allocated and not freed."""
    gc.collect()
    snapshot = tracemalloc.take_snapshot()
    ours = tracemalloc.Filter(True, os.path.join(os.path.dirname(wsgate.__file__), "*"))
    return sum(trace.size for trace in snapshot.filter_traces([ours]).traces)


@pytest.mark.parametrize("path", MOST)
def test_an_idle_websocket_stays_small(site: Site, path: str) -> None:
    for _ in range(20):
        site.open(path, site.connect("web"))
    tracemalloc.start()
    try:
        before = kept()
        for _ in range(COUNT):
            site.open(path, site.connect("web"))
        assert len(site.gateway.runtime.live.connections) == COUNT + 20
        each = (kept() - before) / COUNT
    finally:
        tracemalloc.stop()
    assert each < MOST[path], f"{each:.0f} bytes"
    assert each > 0.7 * MOST[path], f"{each:.0f} bytes: lower the bound"
