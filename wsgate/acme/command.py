"""``wsgate acme``: get the certificates that are due; the gateway runs it by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom

import click

from wsgate.acme.renewing import due, renew, sections
from wsgate.config.load import load_config
from wsgate.config.problems import ConfigError


@click.command("acme")
@click.option("-c", "--config", "path", required=True, type=click.Path(path_type=Path), help="The INI file.")
@click.option("--all", "everything", is_flag=True, help="Renew also what is not due.")
def acme_command(path: Path, everything: bool) -> None:
    """Get the certificates that are due from their ACME authority; a running gateway does it by itself."""
    try:
        from wsgate.acme.obtaining import obtainer
    except ImportError as error:
        raise click.ClickException(f"{error}: install the extra, pip install 'wsgate[acme]'") from None
    try:
        config = load_config(path)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    wanted = sections(config) if everything else due(config, _now())
    failed = False
    for name, problem in renew(config, _now, SystemRandom().random, obtainer(_now), wanted=wanted):
        failed = failed or bool(problem)
        click.echo(f"failed {name}: {problem}" if problem else f"renewed {name}")
    if failed:
        raise SystemExit(1)


def _now() -> datetime:
    return datetime.now(UTC)
