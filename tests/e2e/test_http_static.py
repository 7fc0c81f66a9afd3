"""Files, redirects and fixed answers through the whole gateway."""

from __future__ import annotations

import pytest

from tests.doubles.http import read_answer, read_head, request
from tests.e2e.shared_site import Site, refused


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/folder/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "/folder/..;/../secret.txt",
        "/folder%00/../../secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
    ],
)
def test_no_path_leads_out_of_the_directory(site: Site, path: str) -> None:
    found = refused(site, request("GET", path), 400, "bad_request")
    assert b"secret" not in found.body


@pytest.mark.parametrize("path", ["/link.txt", "/.hidden", "/folder/.hidden", "/folder/", "/missing", "/index.html/x"])
def test_what_is_not_a_file_of_the_site_is_not_found(site: Site, path: str) -> None:
    """A link that leads out, hidden names, directories without an index.  The connection goes on."""
    wire, found = site.ask(request("GET", path) + request("GET", "/digits.txt"))
    assert (
        (found.status, found.body) == (404, b"not found\n") if path != "/folder" else (found.status, b"") != (200, b"")
    )
    assert read_answer(wire).body == b"0123456789"


def test_a_file_is_answered_with_what_caches_need(site: Site) -> None:
    wire, found = site.ask(request("GET", "/"))
    assert (found.status, found.body) == (200, b"<p>home</p>")
    assert found.get("Content-Type") == "text/html; charset=utf-8"
    tag, date = found.get("ETag"), found.get("Last-Modified")
    assert tag and date and found.get("Date")
    assert found.get("Server") is None
    for condition in (f"If-None-Match: {tag}", f"If-Modified-Since: {date}"):
        wire.send(request("GET", "/", condition))
        found = read_answer(wire)
        assert (found.status, found.body, found.get("ETag")) == (304, b"", tag)
    records = site.records(wire, 3)
    assert [(record["status"], record["cause"]) for record in records] == [(200, "done"), (304, "done"), (304, "done")]


def test_head_is_get_without_its_body(site: Site) -> None:
    wire, whole = site.ask(request("GET", "/digits.txt"))
    wire.send(request("HEAD", "/digits.txt") + request("HEAD", "/missing") + request("HEAD", "/hello"))
    found = [read_head(wire) for _ in range(3)]
    assert [message.status for message in found] == [200, 404, 200]
    assert [message.get("Content-Length") for message in found] == ["10", "10", "5"]
    assert found[0].get("ETag") == whole.get("ETag")
    wire.expect_silence(0.05)


@pytest.mark.parametrize(
    ("wanted", "status", "body", "span"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_a_part_of_a_file(site: Site, wanted: str, status: int, body: bytes, span: str | None) -> None:
    wire, found = site.ask(request("GET", "/digits.txt", f"Range: {wanted}"))
    assert (found.status, found.body, found.get("Content-Range")) == (status, body, span)
    assert site.record(wire)["status"] == status


def test_a_part_that_is_not_there_is_a_416(site: Site) -> None:
    wire, found = site.ask(request("GET", "/digits.txt", "Range: bytes=10-12"))
    assert (found.status, found.get("Content-Range")) == (416, "bytes */10")
    record = site.record(wire)
    assert (record["cause"], record["closed_by"]) == ("range", "client")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_told_which_are_possible(site: Site, method: str) -> None:
    wire, found = site.ask(request(method, "/digits.txt"))
    assert (found.status, found.get("Allow")) == (405, "GET, HEAD")
    assert site.record(wire)["cause"] == "method"


def test_a_route_says_which_methods_it_takes(site: Site) -> None:
    wire, found = site.ask(request("POST", "/reading"))
    assert (found.status, found.get("Allow")) == (405, "GET, HEAD")
    wire.send(request("GET", "/reading"))
    assert read_answer(wire).body == b"read only"
    assert [record["cause"] for record in site.records(wire, 2)] == ["method", "done"]


@pytest.mark.parametrize(
    ("target", "host", "location"),
    [
        ("/moved/a?b=c", "site.example:81", "https://site.example/new/moved/a?b=c"),
        ("/moved//evil.example/%2e", "site.example", None),
        ("/moved//evil.example", "site.example", "https://site.example/new/moved//evil.example"),
        ("/moved/%0d%0aSet-Cookie:x=1", "site.example", None),
        ("/moved/a?x=%0d%0aSet-Cookie:x=1", "site.example", "https://site.example/new/moved/a?x=%0d%0aSet-Cookie:x=1"),
        ('/moved/a"<b>', "site.example", "https://site.example/new/moved/a%22%3Cb%3E"),
        ("/moved/a", "[::1]:81", "https://[::1]/new/moved/a"),
    ],
)
def test_a_redirect_leads_where_the_operator_said(site: Site, target: str, host: str, location: str | None) -> None:
    _, found = site.ask(request("GET", target, host=host))
    if location is None:
        assert found.status == 400
    else:
        assert (found.status, found.get("Location")) == (302, location)
    assert found.get("Set-Cookie") is None


@pytest.mark.parametrize("host", ["evil.example/", "evil\\example", "a\tb", "a,b", "%65vil", '"'])
def test_a_host_that_is_none_is_not_redirected_to(site: Site, host: str) -> None:
    refused(site, request("GET", "/moved/a", host=host), 400, "bad_request")


def test_a_prefix_without_its_slash_is_completed(site: Site) -> None:
    """As nginx does for a proxied prefix; the Location is relative, so that it can lead to no other host."""
    _, found = site.ask(request("GET", "/app?x=1", host="evil.example"))
    assert (found.status, found.get("Location")) == (301, "./app/?x=1")
    _, found = site.ask(request("POST", "/app", body=b"x"))
    assert found.status == 308


def test_a_fixed_answer_is_fixed(site: Site) -> None:
    wire, found = site.ask(request("GET", "/hello", "Accept: text/html"))
    assert (found.status, found.body) == (200, b"hello")
    assert found.get("Content-Type") == "text/plain; charset=utf-8"
    assert site.record(wire)["route"] == "hello"


def test_a_file_that_is_added_later_is_served(site: Site) -> None:
    name = "later.txt"
    assert site.ask(request("GET", f"/{name}"))[1].status == 404
    path = site.files / name
    path.write_text("now")
    assert site.ask(request("GET", f"/{name}"))[1].body == b"now"
    path.unlink()
    assert site.ask(request("GET", f"/{name}"))[1].status == 404


def test_a_file_that_is_cut_while_it_is_sent_cuts_the_answer(site: Site) -> None:
    path = site.files / "cut.bin"
    path.write_bytes(bytes(64 * 2**20))
    wire = site.connect(receive_buffer=4096)
    wire.send(request("GET", "/cut.bin"))
    assert read_head(wire).status == 200
    with path.open("r+b") as file:
        file.truncate(1000)
    wire.expect_reset()
    record = site.record(wire)
    assert (record["cause"], record["closed_by"]) == ("internal", "gateway")
    path.unlink()
