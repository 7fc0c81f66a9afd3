"""Servers inside this process: Twisted factories that an upstream names instead of an address.

The gateway's leg is one end of a socket pair; the factory's protocol gets the other with a real transport of the
reactor, so that half-close, producers and time-outs are as everywhere.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from twisted.internet.interfaces import IProtocolFactory

from wsgate.config.model import Config
from wsgate.control.whereabouts import OptionError
from wsgate.errors import WsgateError


class Adopting(Protocol):
    """The part of a Twisted reactor that takes connections over."""

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> object: ...


class FactoryError(WsgateError):
    """A ``python:`` server that cannot be used."""


class InProcessServers:
    """Factories by their names ``package.module:factory``, each loaded once."""

    def __init__(self, reactor: Adopting) -> None:
        self._reactor = reactor
        self._factories: dict[str, Any] = {}

    def load(self, name: str) -> None:
        """Import a factory.  What is named may be a factory, or something that makes one when called.

        Raises FactoryError.
        """
        if name not in self._factories:
            self._factories[name] = find_factory(name)
            self._factories[name].doStart()

    def connect(self, name: str) -> socket.socket:
        """A connection to the factory ``name``, which has been loaded.  Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            # The reactor takes a duplicate of the descriptor.
            self._reactor.adoptStreamConnection(theirs.fileno(), socket.AF_UNIX, self._factories[name])
        return ours

    def close(self) -> None:
        for factory in self._factories.values():
            factory.doStop()
        self._factories.clear()


def load_factories(config: Config, load: Callable[[str], object]) -> None:
    """Call ``load`` with the name of each factory that a configuration names.  Raises OptionError."""
    for upstream in config.upstreams.values():
        for server in upstream.servers:
            if server.factory:
                try:
                    load(server.factory)
                except FactoryError as error:
                    raise OptionError(
                        config.source, "upstream", upstream.name, "servers", str(error), server.factory
                    ) from error


def find_factory(name: str) -> Any:
    """Import what ``package.module:factory`` names: a factory, or something that makes one.  Raises FactoryError."""
    module_name, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module_name), attribute)
        factory = found if IProtocolFactory.providedBy(found) else found()
    except Exception as error:
        raise FactoryError(f"python:{name} cannot be loaded: {type(error).__name__}: {error}") from error
    if not IProtocolFactory.providedBy(factory):
        raise FactoryError(f"python:{name} is no Twisted factory, nor does it make one")
    return factory
