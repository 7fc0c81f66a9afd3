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

    __slots__ = ("clients", "places")

    def __init__(self, places: Places | None = None, clients: Places | None = None) -> None:
        self.places = LocalPlaces() if places is None else places
        self.clients = LocalPlaces() if clients is None else clients

    def enter(self, gateway: GatewayOptions, listener: Listener, client: str) -> tuple[Counted, str]:
        """Count a connection; the words say which limit it is above, and then nothing is counted."""
        wanted = [
            (self.places, ALL, gateway.max_connections, "of the gateway"),
            (self.places, listener_key(listener.name), listener.max_connections, f"of listener {listener.name}"),
        ]
        # Clients of a unix socket are all one address.
        if gateway.max_connections_per_client and client != "unix":
            wanted.append((self.clients, client, gateway.max_connections_per_client, "of this client"))
        taken: list[tuple[Places, str]] = []
        for places, key, limit, words in wanted:
            if not places.take(key, limit):
                self.leave(tuple(taken))
                return (), f"all {limit} connections {words} are taken"
            taken.append((places, key))
        return tuple(taken), ""

    def leave(self, counted: Counted) -> None:
        """Give the places of a connection back."""
        for places, key in counted:
            places.give_back(key)
