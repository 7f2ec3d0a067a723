"""What every request to the page passes: whose it is, where it comes from, what the answer may load."""

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storyloom.ui.auth import Users

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_MOST_REMEMBERED = 1024
# Gradio builds its components' templates by eval and sets styles in line. Nothing is loaded from, or
# sent to, anywhere but this server, and no other page may frame this one.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Gate:
    """ASGI middleware. Leaves the user's name in the scope's state as ``user``.

    Args:
        app: what lies behind.
        hosts: the names that a request may call this server by, or None for any. A page elsewhere that
            had its own name point at this machine is refused by it (DNS rebinding).
        users: who may come in, or None when nobody is asked.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] | None, users: Users | None) -> None:
        self._app = app
        self._hosts = frozenset(hosts) if hosts is not None else None
        self._users = users
        self._key = secrets.token_bytes(32)
        self._admitted: dict[bytes, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers)
        user = None
        if refusal is None and self._users is not None:
            user = await self._user(headers.get("authorization", ""), self._users)
            if user is None:
                refusal = PlainTextResponse(
                    "Give the name and the password that the server's owner gave you.",
                    401,
                    {"WWW-Authenticate": 'Basic realm="Storyloom", charset="UTF-8"'},
                )
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["user"] = user

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_safely)

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        """The answer to a request that another site's page sent in the person's name."""
        host = headers.get("host", "")
        if self._hosts is not None and urlsplit(f"//{host}").hostname not in self._hosts:
            return PlainTextResponse("This page answers to localhost only.", 403)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return PlainTextResponse("Another site's page can't use this one.", 403)
        return None

    async def _user(self, authorization: str, users: Users) -> str | None:
        """The name that HTTP's Basic authentication (RFC 7617) proves; a check is costly, so it is kept."""
        kind, _, credentials = authorization.partition(" ")
        if kind.lower() != "basic":
            return None
        mark = hashlib.blake2b(credentials.encode(), key=self._key).digest()
        if mark in self._admitted:
            return self._admitted[mark]
        try:
            name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        if not await asyncio.to_thread(users.admits, name, password):
            return None
        if len(self._admitted) >= _MOST_REMEMBERED:
            self._admitted.clear()
        self._admitted[mark] = name
        return name
