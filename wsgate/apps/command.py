"""``wsgate app KIND``: one demo WebSocket server alone, without a gateway in front of it."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

import click
from twisted.internet.error import CannotListenError
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from wsgate.apps.catalog import KINDS
from wsgate.apps.service import app_service
from wsgate.config.model import Address, App


@click.command("app", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.option("--port", type=click.IntRange(0, 65535), default=2222, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
def app_command(kind: str, port: int, host: str) -> None:
    """Run one demo WebSocket server in the foreground.

    It prints the address to open and runs until Ctrl-C.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed
    reactor.seconds = time.monotonic
    log_warnings(sys.stderr)
    service = app_service(App(kind, kind, Address(host, port)), reactor)
    try:
        service.startService()
    except (CannotListenError, OSError) as problem:
        raise click.ClickException(str(problem)) from None
    address: Any = service.address
    click.echo(f"{kind}: ws://{Address(address.host, address.port)}/ (any path; Ctrl-C ends it)")
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()


def log_warnings(out: TextIO) -> None:
    """Write what Twisted has to warn of to ``out``."""
    write: Any = textFileLogObserver(out)
    warnings: Any = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    observer: Any = FilteringLogObserver(write, [warnings])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
