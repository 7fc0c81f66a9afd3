"""Legs: sockets, TLS and pipes with Twisted's transport names, and the timers that watch them."""
