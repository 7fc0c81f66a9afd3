"""Connections that fit in the descriptors of a process."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest

from wsgate.config.load import parse_config
from wsgate.config.model import Config
from wsgate.control.limits import EACH, RESERVE, LimitError, check_descriptors, connections_that_fit

SOFT, _ = resource.getrlimit(resource.RLIMIT_NOFILE)


def wanting(number: int) -> Config:
    config = parse_config("[listener l]\nbind = 127.0.0.1:0\n[route r]\nrespond = 200 x\n", "test.ini", Path("/"))
    return replace(config, gateway=replace(config.gateway, max_connections=number))


def test_two_descriptors_a_connection_and_a_reserve() -> None:
    assert connections_that_fit() == (SOFT - RESERVE) // EACH


def test_what_fits_is_fine_and_one_more_is_refused_with_the_number_needed() -> None:
    most = connections_that_fit()
    check_descriptors(wanting(most), 1)
    check_descriptors(wanting(0), 1)
    check_descriptors(wanting(2 * most), 2)
    with pytest.raises(LimitError, match=str((most + 1) * EACH + RESERVE)):
        check_descriptors(wanting(most + 1), 1)
    with pytest.raises(LimitError, match="each of 2 processes"):
        check_descriptors(wanting(2 * most + 1), 2)
