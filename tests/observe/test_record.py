"""The record holds facts, and none that must not be logged."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from wsgate.observe.record import AccessRecord, Kind


def test_a_record_needs_only_its_kind_and_time() -> None:
    record = AccessRecord(Kind.TCP, 12.5)
    assert (record.kind, record.time, record.duration, record.status, record.cause) == ("tcp", 12.5, 0.0, None, "")


def test_a_record_has_no_place_for_credentials_or_payload() -> None:
    names = {field.name for field in fields(AccessRecord)}
    assert not names & {"authorization", "cookie", "headers", "payload", "body"}
    with pytest.raises(AttributeError):
        AccessRecord(Kind.HTTP, 0.0).cookie = "a=b"  # type: ignore[attr-defined]


def test_the_page_on_logs_explains_each_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "logs.rst").read_text("utf-8")
    explained = re.findall(r"^``(\w+)`` {3,}\S", page, re.MULTILINE)
    assert explained == [
        "time",
        "kind",
        *(field.name for field in fields(AccessRecord) if field.name not in {"time", "kind"}),
    ]
