"""An HTTP proxy before a real gateway that fails as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Answer = tuple[int, dict[str, str], bytes]
# Gets a function that carries out the call at the gateway. None: the connection is closed without an answer.
Fault = Callable[[Callable[[], Answer]], Answer | None]


def problem(status: int, code: str, retry_after_s: int = 0) -> Answer:
    headers = {"Content-Type": "application/problem+json", "Retry-After": str(retry_after_s)}
    body = f'{{"type":"about:blank","title":"x","status":{status},"detail":"planted","code":"{code}"}}'
    return status, headers, body.encode()


def not_written(_: Callable[[], Answer]) -> Answer:
    return problem(503, "not_written")


def not_written_for_long(_: Callable[[], Answer]) -> Answer:
    """Longer than any client waits."""
    return problem(503, "not_written", 3_600)


def lost(call: Callable[[], Answer]) -> None:
    call()


def no_reply(call: Callable[[], Answer]) -> Answer:
    call()
    return problem(504, "no_reply")


def unavailable_of_a_proxy(call: Callable[[], Answer]) -> Answer:
    call()
    return 503, {"Content-Type": "text/html", "Retry-After": "0"}, b"<h1>Service Unavailable</h1>"


class Proxy:
    """Carries out the faults one after another, the last one again and again, then passes calls through."""

    def __init__(self, gateway: str, faults: list[Fault], then: Fault | None) -> None:
        self.faults, self.then = faults, then
        self.calls: list[dict[str, str]] = []
        proxy, target = self, urlsplit(gateway)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proxy.calls.append(dict(self.headers))

                def call() -> Answer:
                    connection = HTTPConnection(target.hostname or "", target.port)
                    headers = {name: value for name, value in self.headers.items() if name != "Host"}
                    connection.request("POST", self.path, body, headers)
                    response = connection.getresponse()
                    answer = response.status, dict[str, str](), response.read()
                    connection.close()
                    return answer

                fault = proxy.faults.pop(0) if proxy.faults else proxy.then
                answer = fault(call) if fault else call()
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def proxy(gateway: str, *faults: Fault, then: Fault | None = None) -> Iterator[Proxy]:
    started = Proxy(gateway, list(faults), then)
    thread = threading.Thread(target=started.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield started
    finally:
        started.server.shutdown()
        thread.join()
        started.server.server_close()
