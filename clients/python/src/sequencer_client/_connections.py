"""Connections to a gateway that are used again."""

import queue
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

# Connections that are kept between calls: as many as the threads of an ordinary program. More are opened, and then closed.
IDLE_MAX = 16


@dataclass(frozen=True)
class Response:
    """An HTTP response that was read to its end."""

    status: int
    retry_after: str | None
    body: bytes


class NotSent(Exception):
    """There is no connection, so the gateway has not seen the request."""


class Lost(Exception):
    """The request may have reached the gateway, and no answer came back."""


class Connections:
    """A pool that threads may share."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"the URL of a gateway is http://HOST:PORT or https://HOST, got {url!r}")
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._idle: queue.LifoQueue[HTTPConnection] = queue.LifoQueue(IDLE_MAX)

    def post(self, path: str, body: bytes, headers: dict[str, bytes], timeout_s: float) -> Response:
        """Sends one request. Each wait for the network ends after ``timeout_s``."""
        connection = self._take(timeout_s)
        try:
            connection.request("POST", self._base + path, body, headers)
            response = connection.getresponse()
            read = Response(response.status, response.headers.get("Retry-After"), response.read())
        except (OSError, HTTPException) as error:
            connection.close()
            raise Lost(f"{type(error).__name__}: {error}") from error
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._keep(connection)
        return read

    def close(self) -> None:
        """Closes the idle connections."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return

    def _take(self, timeout_s: float) -> HTTPConnection:
        try:
            connection = self._idle.get_nowait()
            connection.sock.settimeout(timeout_s)
            return connection
        except queue.Empty:
            connection = self._kind(self._host, self._port, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotSent(str(error)) from error
        return connection

    def _keep(self, connection: HTTPConnection) -> None:
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()
