"""A web server on the loopback address that misbehaves as told."""

import contextlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Behaviour:
    """What the server does; `cuts` are the bytes that it sends before it hangs up, one per request."""

    files: dict[str, bytes]
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    on_request: Callable[[], None] = lambda: None
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@contextlib.contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Serve until the block ends; yields the address prefix."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour.requests.append((self.path, self.headers.get("Range")))
            behaviour.on_request()
            if behaviour.statuses:
                return self.send_error(behaviour.statuses.pop(0))
            content = behaviour.files.get(self.path)
            if content is None:
                return self.send_error(404)
            start = 0
            if behaviour.ranges and (asked := re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")):
                start = int(asked[1])
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            sent = content[start:]
            if behaviour.cuts:
                sent = sent[: behaviour.cuts.pop(0)]
            self.wfile.write(sent)
            return None

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
