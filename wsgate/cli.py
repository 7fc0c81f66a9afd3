"""The command ``wsgate``: what an operator asks without starting a gateway."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from wsgate import __version__
from wsgate.config.explain import summary
from wsgate.config.load import load_config
from wsgate.config.options import OPTIONS
from wsgate.config.problems import ConfigError
from wsgate.config.reference import reference, sample

# Commands that live with what they run, imported when they are asked for: some of them need Twisted.
_STEERING = ("status", "ready", "reload", "drain", "undrain", "kick", "upgrade")
_ELSEWHERE = {
    "acme": ("wsgate.acme.command", "acme_command"),
    "app": ("wsgate.apps.command", "app_command"),
} | {name: ("wsgate.control.command", name) for name in _STEERING}


class _Commands(click.Group):
    """A group that knows commands of other modules by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, attribute = _ELSEWHERE[cmd_name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wsgate")
def main() -> None:
    """Look after a wsgate gateway.  To run one: twistd -n wsgate --config FILE."""


@main.command()
@click.option("-c", "--config", "path", required=True, type=click.Path(path_type=Path), help="The INI file.")
def check(path: Path) -> None:
    """Tell every problem of an INI (exit code 1), or what would listen and where it would go."""
    from wsgate.control.whereabouts import OptionError
    from wsgate.tls.report import inspect

    try:
        config = load_config(path)
    except ConfigError as error:
        _end_with(list(map(str, error.problems)))
    reports, wrong = inspect(config, datetime.now(UTC))
    if wrong:
        _end_with([str(OptionError(str(path), kind, name, "", text)) for kind, name, text in wrong])
    click.echo(summary(config))
    if reports:
        click.echo()
    for report in reports:
        click.echo("\n".join((report.line, *(f"warning: {warning}" for warning in report.warnings))))


def _end_with(problems: list[str]) -> NoReturn:
    click.echo("\n".join((*problems, f"{len(problems)} problem{'' if len(problems) == 1 else 's'}")), err=True)
    raise SystemExit(1)


@main.command()
@click.option("--page", is_flag=True, help="Print the reference page instead (reStructuredText).")
def options(page: bool) -> None:
    """Print every option with its meaning and default, as an INI to copy from."""
    click.echo(reference(OPTIONS) if page else sample(OPTIONS), nl=False)
