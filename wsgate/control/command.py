"""The commands that steer a running gateway: ``wsgate status``, ``reload``, ``drain`` and the others.

Exit codes: 0 it was done, 1 the gateway refused (the reason is on standard error), 2 the command was wrong, 3 no
gateway answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wsgate.control.client import NoGatewayError, ask, state_dir_of
from wsgate.control.scopes import SELECTORS

REFUSED, NO_GATEWAY = 1, 3

_CONFIG = click.option(
    "-c",
    "--config",
    "path",
    default="etc/wsgate.ini",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The INI of the gateway; its state_dir holds the control socket.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the gateway's answer as JSON.")


def _order(path: Path, order: str, as_json: bool, tell: Callable[[dict[str, Any]], str], **facts: Any) -> None:
    """Ask, print, and end with the exit code."""
    try:
        answer = ask(state_dir_of(path), order, facts)
    except NoGatewayError as error:
        click.echo(json.dumps({"ok": False, "error": str(error)}) if as_json else error, err=not as_json)
        raise SystemExit(NO_GATEWAY) from None
    answer.pop("id", None)
    if as_json:
        click.echo(json.dumps(answer))
    elif answer["ok"]:
        click.echo(tell(answer))
    else:
        click.echo(answer.get("error") or tell(answer), err=True)
    if not answer["ok"]:
        raise SystemExit(REFUSED)


@click.command()
@_CONFIG
@_JSON
@click.option("--connections", is_flag=True, help="List the relayed connections too.")
def status(path: Path, as_json: bool, connections: bool) -> None:
    """Tell how a running gateway is: its workers, listeners, servers and connections."""
    _order(path, "status", as_json, _status_text, connections=connections)


def _status_text(answer: dict[str, Any]) -> str:
    lines = [
        f"{'ready' if answer['ready'] else 'not ready'}, up {answer['uptime']:.0f} s, "
        f"configuration {answer['generation']} of {answer['source']}",
        *answer["listening"],
    ]
    if answer["failed_reloads"]:
        lines.append(f"failed reloads: {answer['failed_reloads']}")
    lines += [f"drained: {scope}" for scope in answer["drained"]]
    if answer.get("crashes"):
        lines.append(f"processes that ended unasked: {answer['crashes']}")
    control = answer.get("control")
    if control:
        lines.append(f"control process (process {control['pid']}): up {control['uptime']:.0f} s")
    for worker in answer["workers"]:
        retired = ", retired" if worker["retired"] else ""
        counts = f"{worker['connections']} connections, {worker['relayed']} of them relayed"
        lines.append(f"worker {worker['worker']} (process {worker['pid']}): {counts}{retired}")
        memory = worker["memory"]
        if memory["limit"]:
            lines.append(
                f"worker {worker['worker']}: memory {memory['used'] >> 20} of {memory['limit'] >> 20} MiB, "
                f"{memory['state']}, {memory['closed']} closed for it"
            )
    # Every worker counts for all.
    for name, servers in (answer["workers"][0]["upstreams"] if answer["workers"] else {}).items():
        lines += [f"upstream {name}: {one['server']} {one['state']}, {one['open']} open" for one in servers]
        if waiting := answer["workers"][0]["waiting"][name]:
            lines.append(f"upstream {name}: {waiting} wait for a place")
    for worker in answer["workers"]:
        for live in worker.get("live", ()):
            where = " ".join(f"{key}={live[key]}" for key in ("client", "listener", "route", "upstream", "server"))
            lines.append(f"{live['id']}: {where} age={live['age']:.0f}s")
    return "\n".join(lines)


@click.command()
@_CONFIG
@_JSON
def ready(path: Path, as_json: bool) -> None:
    """Tell by the exit code whether a gateway serves and does not stop."""
    _order(path, "ready", as_json, lambda answer: "ready" if answer["ready"] else "not ready")


@click.command()
@_CONFIG
@_JSON
def reload(path: Path, as_json: bool) -> None:
    """Let a gateway read its INI again, all of it or nothing, with every connection kept; tell what has changed."""
    _order(path, "reload", as_json, _reload_text)


def _reload_text(answer: dict[str, Any]) -> str:
    return "\n".join([*answer["warnings"], *(answer["changed"] or ["nothing is different"])])


_KIND = click.argument("kind", type=click.Choice(("gateway", "listener", "route", "upstream", "server", "worker")))
_NAME = click.argument("name", required=False, default="")
_SERVER = click.argument("server", required=False, default="")


@click.command()
@_KIND
@_NAME
@_SERVER
@_CONFIG
@_JSON
@click.option("--no-wait", is_flag=True, help="Return at once and let the drain go on.")
def drain(kind: str, name: str, server: str, path: Path, as_json: bool, no_wait: bool) -> None:
    """Give nothing new to a part of a gateway and end what it has: gateway, listener NAME, route NAME, upstream NAME,
    server UPSTREAM ADDRESS, or worker NUMBER, which is replaced at once."""
    facts = {"kind": kind, "name": name, "server": server, "wait": not no_wait}
    _order(path, "drain", as_json, _closed_text, **facts)


def _closed_text(answer: dict[str, Any]) -> str:
    return f"{answer['closed']} closed" if "closed" in answer else "the drain has begun"


@click.command()
@_KIND
@_NAME
@_SERVER
@_CONFIG
@_JSON
def undrain(kind: str, name: str, server: str, path: Path, as_json: bool) -> None:
    """Let a part that was drained take new connections again."""
    _order(path, "undrain", as_json, lambda answer: "undrained", kind=kind, name=name, server=server)


def _selectors(command: Callable[..., None]) -> Callable[..., None]:
    for selector in reversed(SELECTORS):
        command = click.option(f"--{selector}", default="", help=f"Those with this {selector}.")(command)
    return command


@click.command()
@_CONFIG
@_JSON
@_selectors
def kick(path: Path, as_json: bool, **selection: str) -> None:
    """Close chosen connections at once, WebSockets with 1008; all that is given must hold of a connection."""
    if not any(selection.values()):
        raise click.UsageError(f"say whom: by {', '.join(f'--{name}' for name in SELECTORS)}")
    _order(path, "kick", as_json, _closed_text, **selection)


@click.command()
@_CONFIG
@_JSON
def upgrade(path: Path, as_json: bool) -> None:
    """Start the installed version in place of the running one: it takes the sockets over, the old one drains."""
    _order(path, "upgrade", as_json, lambda answer: f"process {answer['pid']} has taken over")
