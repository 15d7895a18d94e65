"""Who may use a studio: pages of this machine, or whoever has its key where it is open to a network."""

import hmac
from http.cookies import SimpleCookie
from urllib.parse import SplitResult, parse_qs, urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL = ("127.0.0.1", "localhost", "::1")
_COOKIE = "jukebox-studio"
_SAFE = ("GET", "HEAD")


class Access:
    """Refuses what a page of another site could send through a browser, and strangers of an open network.

    Without a key only names of this machine are answered to: a foreign name that points here (DNS rebinding) is not.
    What changes something must come from a page of the studio itself.

    Args:
        app: that is guarded.
        key: that strangers lack; None where only this machine can connect.
    """

    def __init__(self, app: ASGIApp, key: str | None = None) -> None:
        self._app, self._key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await PlainTextResponse(refusal, 403)(scope, receive, send)
        elif self._key is not None and self._said(scope) == self._key:
            await self._app(scope, receive, self._remembering(send))
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> str | None:
        host = headers.get("host", "")
        if self._key is None and _split(f"//{host}").hostname not in LOCAL:
            return f"This studio answers to {' and '.join(LOCAL[:2])}, not to {host!r}."
        origin = headers.get("origin")
        if scope["method"] not in _SAFE and origin is not None and _split(origin).netloc != host:
            return f"A page of {origin} may not change anything here."
        if scope["method"] == "POST" and headers.get("content-type", "").split(";")[0] != "application/json":
            return "Send JSON."
        if self._key is not None and not self._known(scope, headers):
            return "Open the address with the key that `jukebox studio` has printed."
        return None

    def _known(self, scope: Scope, headers: dict[str, str]) -> bool:
        assert self._key is not None
        cookie = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
        given = self._said(scope) or (cookie.value if cookie is not None else "")
        return hmac.compare_digest(given.encode(), self._key.encode())

    def _said(self, scope: Scope) -> str:
        return parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]

    def _remembering(self, send: Send) -> Send:
        """Sends the key as a cookie too, so that the page's own requests have it."""

        async def sending(message: "dict[str, object]") -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                assert isinstance(headers, list)
                cookie = f"{_COOKIE}={self._key}; Path=/; HttpOnly; SameSite=Strict"
                headers.append((b"set-cookie", cookie.encode()))
            await send(message)  # type: ignore[arg-type]

        return sending  # type: ignore[return-value]


def _split(address: str) -> SplitResult:
    """The parts of an address; of nothing where it is none."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")
