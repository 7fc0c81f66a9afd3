"""Asking a static site and reading its answer to the end, as the sender would."""

from __future__ import annotations

from typing import NamedTuple

from wsgate.targets.answer import Answer, FileBlocks
from wsgate.targets.static import StaticSite


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes | None


def read(answer: Answer) -> Reply:
    """The whole answer; no header comes twice and Content-Length is the length of the body, where there are both."""
    body = answer.body
    if isinstance(body, FileBlocks):
        blocks = []
        while block := body.read(7):
            blocks.append(block)
        body.close()
        body = b"".join(blocks)
    headers = {name.decode("ascii"): value.decode("ascii") for name, value in answer.headers}
    assert len(headers) == len(answer.headers)
    if body is not None:
        assert int(headers["Content-Length"]) == len(body)
    return Reply(answer.status, headers, body)


def ask(
    site: StaticSite,
    path: str,
    *fields: tuple[str, str],
    method: str = "GET",
    requested: bytes = b"",
    query: bytes = b"",
) -> Reply:
    lines = [(name.encode(), value.encode()) for name, value in fields]
    return read(site.answer(method, path, lines, requested=requested, query=query))
