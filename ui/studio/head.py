"""What has to stand at the very beginning of the page: Gradio's scripts, and its own head, come late."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Headed:
    """ASGI middleware: puts something at the head of the page.

    Args:
        app: serves the page at ``/``.
        head: gives the HTML, at each request.
    """

    def __init__(self, app: ASGIApp, head: Callable[[], str]) -> None:
        self._app = app
        self._head = head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; the page alone is changed."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        # What is compressed can't be added to.
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self._app({**scope, "headers": headers}, receive, _Page(send, self._head()))


class _Page:
    """Holds an answer back until it is whole."""

    def __init__(self, send: Send, head: str) -> None:
        self._send = send
        self._head = f"<head>{head}".encode()
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._body.replace(b"<head>", self._head, 1)
        MutableHeaders(scope=self._start)["content-length"] = str(len(body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})
