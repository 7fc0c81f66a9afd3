"""Who may connect: the open connections of the gateway, of each listener and of each client address, over all workers.

A connection takes its places when it is accepted and gives the same ones back when it is gone.
"""

from __future__ import annotations

from wsgate.balance.places import LocalPlaces, Places
from wsgate.config.model import GatewayOptions, Listener

#: What ``Places`` counts all connections under.
ALL = "connections"

#: What a connection holds: the places, and the keys in them.
Counted = tuple[tuple[Places, str], ...]


def listener_key(name: str) -> str:
    """What ``Places`` counts the connections of a listener under; no key of a server looks like it."""
    return f"listener {name}"


class OpenConnections:
    """``places`` counts the gateway's and the listeners' connections, ``clients`` those of each address."""

    __slots__ = ("_shared", "clients", "places")

    def __init__(self, places: Places | None = None, clients: Places | None = None) -> None:
        self.places = LocalPlaces() if places is None else places
        self.clients = LocalPlaces() if clients is None else clients
        #: What every connection of a listener holds, unless clients are counted: one value for all of them.
        self._shared: dict[str, Counted] = {}

    def enter(self, gateway: GatewayOptions, listener: Listener, client: str) -> tuple[Counted, str]:
        """Count a connection; the words say which limit it is above, and then nothing is counted."""
        shared = self._shared.get(listener.name)
        if shared is None:
            shared = ((self.places, ALL), (self.places, listener_key(listener.name)))
            self._shared[listener.name] = shared
        if not self.places.take(ALL, gateway.max_connections):
            return (), f"all {gateway.max_connections} connections of the gateway are taken"
        if not self.places.take(shared[1][1], listener.max_connections):
            self.leave(shared[:1])
            return (), f"all {listener.max_connections} connections of listener {listener.name} are taken"
        limit = gateway.max_connections_per_client
        # Clients of a unix socket are all one address.
        if not limit or client == "unix":
            return shared, ""
        if not self.clients.take(client, limit):
            self.leave(shared)
            return (), f"all {limit} connections of this client are taken"
        return (*shared, (self.clients, client)), ""

    def leave(self, counted: Counted) -> None:
        """Give the places of a connection back."""
        for places, key in counted:
            places.give_back(key)
