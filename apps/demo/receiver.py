"""A subscriber's HTTP server on loopback, for the demo."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; the second is not to wait until the first is acknowledged.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Accept an item, as Newshub's `/push` does."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        assert isinstance(self.server, Receiver)
        self.server.received += 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: the demo prints a table of its own."""


class Receiver(ThreadingHTTPServer):
    """Accepts every item and counts them. A context manager; serves while it is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received = 0
        self._thread = Thread(target=self.serve_forever, name="demo-receiver", daemon=True)

    @property
    def url(self) -> str:
        """Where items are pushed to."""
        return f"http://127.0.0.1:{self.server_port}/push"

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.shutdown()
        self.server_close()
