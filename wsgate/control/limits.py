"""What the process may use: descriptors, and how many connections they are enough for."""

from __future__ import annotations

import resource
import sys

from wsgate.config.model import Config
from wsgate.control.whereabouts import OptionError

#: Descriptors kept for logs, listening sockets, pipes, the control socket and the interpreter.
RESERVE = 128

#: Descriptors of a connection: one towards the client, one towards the server.
EACH = 2


class LimitError(OptionError):
    """The configuration asks for more than the process may have."""


def raise_descriptor_limit() -> None:
    """Use all descriptors that the process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_that_fit() -> int:
    """How many connections the descriptor limit of this process allows."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(1, (soft - RESERVE) // EACH)


def check_descriptors(config: Config, workers: int) -> None:
    """Raise LimitError, with the number needed, where ``max_connections`` does not fit in ``workers`` processes."""
    wanted = config.gateway.max_connections
    if wanted > connections_that_fit() * workers:
        each = -(-wanted // workers)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        raise LimitError(
            config.source,
            "gateway",
            "",
            "max_connections",
            f"max_connections = {wanted} needs {each * EACH + RESERVE} file descriptors in each of {workers} "
            f"process{'es' if workers > 1 else ''} ({EACH} a connection and {RESERVE} in reserve), the limit is {soft}"
            ": raise it (LimitNOFILE= of the unit, or ulimit -n), or lower max_connections",
        )
