"""Light, dark, or as the system is: chosen in the browser, kept there, and so before anything is drawn."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio marks its dark theme by a class of the body, as the system is; a person's own choice goes before.
_KEEPING = """(() => {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const kept = () => { try { return localStorage.getItem('shade') || 'system'; } catch { return 'system'; } };
  const dark = () => kept() === 'system' ? system.matches : kept() === 'dark';
  const show = () => document.body.classList.toggle('dark', dark());
  window.storyloomShade = {
    kept,
    choose: shade => { try { localStorage.setItem('shade', shade); } catch {} show(); },
  };
  new MutationObserver((_, observer) => {
    if (!document.body) return;
    observer.disconnect();
    show();
    new MutationObserver(show).observe(document.body, {attributes: true, attributeFilter: ['class']});
  }).observe(document.documentElement, {childList: true});
})();"""
# The same two colours as styles/page.css has, for the moment before it is there.
_FIRST = "body { background: #fcfbf8 !important; } body.dark { background: #191816 !important; }"
_HEAD = f"<head><style>{_FIRST}</style><script>{_KEEPING}</script>".encode()
# What the choice on the page does.
CHOOSING = """const mark = () => {
  const chosen = element.querySelector(`[value=${window.storyloomShade?.kept() || 'system'}]`);
  if (chosen) chosen.checked = true;
};
mark();
element.addEventListener('change', event => window.storyloomShade?.choose(event.target.value));"""


class Shaded:
    """ASGI middleware: puts the choice at the head of the page, before Gradio's scripts, which come late.

    Args:
        app: serves the page at ``/``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; the page alone is changed."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        # What is compressed can't be added to.
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self._app({**scope, "headers": headers}, receive, _Page(send))


class _Page:
    """Holds an answer back until it is whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._body.replace(b"<head>", _HEAD, 1)
        MutableHeaders(scope=self._start)["content-length"] = str(len(body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})
