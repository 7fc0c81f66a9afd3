"""Towards clients: listening sockets and the HTTP/1 end of a connection."""
