"""A real HTTP server on loopback that answers chat completions as it is told to, well or badly."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Act = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; an act writes the answer."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._act()

    def do_GET(self):
        self.body = None
        self._act()

    def _act(self):
        server = self.server
        with server.lock:
            server.requests.append((self.path, dict(self.headers), self.body))
            waiting = server.acts if self.command == "POST" else server.gets
            act = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        with contextlib.suppress(OSError):  # the client hung up
            act(self)

    def log_message(self, *_):
        pass

    # ------------------------------------------------------------------ what an act is made of

    def start(self, status=200, **headers):
        """Status and headers; the body follows until the connection is closed."""
        self.close_connection = True
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def whole(self, body, status=200, kind="application/json", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.start(status, Content_Type=kind, Content_Length=str(len(body)), **headers)
        self.wfile.write(body)

    def events(self, *events):
        """Start a stream of events; strings go out as they are."""
        self.start(Content_Type="text/event-stream")
        for event in events:
            self.event(event)

    def event(self, event):
        self.wfile.write(
            f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
        )
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """`acts` are used up one a request, the last for all that follow."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock, self.requests = threading.Lock(), []
        self.acts: list[Act] = [says("fine")]
        self.gets: list[Act] = [serves("tiny")]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def bodies(self):
        return [body for path, _, body in self.requests if path.endswith("/chat/completions")]


@contextlib.contextmanager
def running():
    """A server, until the end of the block."""
    server = Server()
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def delta(text, finish=None):
    """One event of a stream."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


def says(*parts, finish="stop", done=True) -> Act:
    """A stream of these parts, well ended."""
    return lambda handler: handler.events(
        {"choices": [{"delta": {"role": "assistant"}}]},
        *map(delta, parts),
        delta("", finish),
        *(["[DONE]"] if done else []),
    )


def echoes(handler):
    """The last message, word by word."""
    words = handler.body["messages"][-1]["content"].split(" ")
    says(*(word + " " for word in words[:-1]), words[-1])(handler)


def refuses(status, message="no", kind="openai", **headers) -> Act:
    body = {"error": {"message": message}} if kind == "openai" else {"detail": message}
    return lambda handler: handler.whole(body, status, **headers)


def serves(*names) -> Act:
    return lambda handler: handler.whole(
        {"object": "list", "data": [{"id": name, "owned_by": "me"} for name in names]}
    )


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
