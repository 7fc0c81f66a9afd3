"""WebSocket servers and clients by the ``websockets`` library: code that nobody here wrote."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as _connect
from websockets.sync.server import ServerConnection, serve

from tests.doubles.ports import free_port
from tests.doubles.stopping import Stopping
from tests.doubles.waiting import until

Talk = Callable[[ServerConnection], None]

_LIMIT = 64 * 2**20


def echo(connection: ServerConnection) -> None:
    """Send every message back until the connection is closed."""
    for message in connection:
        connection.send(message)


class Session:
    """One WebSocket that a server had: the request, and how it was closed.  It is there before the client hears 101."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.began = False
        self.over = threading.Event()
        self.failure: Exception | None = None

    @property
    def path(self) -> str:
        request = self.connection.request
        assert request is not None
        return request.path

    def header(self, name: str) -> list[str]:
        """Every value of a request header."""
        request = self.connection.request
        assert request is not None
        return request.headers.get_all(name)

    @property
    def close_code(self) -> int | None:
        """The close code; None while it is open."""
        return self.connection.close_code

    @property
    def close_reason(self) -> str | None:
        return self.connection.close_reason

    def wait_over(self, timeout: float = 30.0) -> Self:
        """Wait until the talk has come to its end and the closing handshake is through."""
        assert self.over.wait(timeout), "the WebSocket is still open"
        return self


class WebSocketServer(Stopping):
    """A threaded WebSocket server on a free port; ``talk`` runs for each connection, by default an echo.

    ``options`` go to ``websockets.sync.server.serve``.
    """

    def __init__(self, talk: Talk = echo, *, tls: ssl.SSLContext | None = None, **options: Any) -> None:
        self.sessions: list[Session] = []
        self._talk = talk
        times = {"open_timeout": 30, "close_timeout": 20}
        options = {"ping_interval": None, "max_size": _LIMIT} | times | options
        host = options.pop("host", "127.0.0.1")
        port = options.pop("port", 0) or free_port(host)
        self._server = serve(self._run, host, port, ssl=tls, process_response=self._note, **options)
        self._thread = threading.Thread(target=self._server.serve_forever, name="websocket server", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.socket.getsockname()[1])

    @property
    def address(self) -> str:
        host = self._server.socket.getsockname()[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def _note(self, connection: ServerConnection, request: Request, response: Response) -> None:
        if response.status_code == 101:
            self.sessions.append(Session(connection))

    def _run(self, connection: ServerConnection) -> None:
        session = next(one for one in self.sessions if one.connection is connection)
        session.began = True
        try:
            self._talk(connection)
        except ConnectionClosed:
            pass
        except Exception as error:  # kept for stop()
            session.failure = error
            raise
        finally:
            connection.close()
            session.over.set()

    def wait_sessions(self, count: int = 1, timeout: float = 30.0) -> list[Session]:
        """Wait until at least ``count`` WebSockets were opened."""
        until(lambda: len(self.sessions) >= count, f"{count} WebSockets at the server", timeout)
        return self.sessions

    def stop(self) -> None:
        """Close every connection, stop, and raise what a talk raised."""
        self._server.shutdown()
        self._thread.join(30)
        for session in self.sessions:
            if session.began and not session.over.is_set():
                session.connection.close(1001)
                session.wait_over()
        for session in self.sessions:
            if session.failure is not None:
                raise session.failure


def open_client(url: str, **options: Any) -> ClientConnection:
    """A WebSocket client; ``options`` go to ``websockets.sync.client.connect``, without pings and any proxy."""
    times = {"open_timeout": 30, "close_timeout": 20}
    options = {"ping_interval": None, "max_size": _LIMIT, "proxy": None} | times | options
    connection = _connect(url, **options)
    assert isinstance(connection, ClientConnection)
    return connection
