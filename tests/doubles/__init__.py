"""Peers, clients and processes that the tests put around the gateway."""
