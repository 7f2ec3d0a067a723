"""The page in the language of whoever asks: its components are built once, in English."""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from storyloom.ui.studio.languages import COOKIE, ENGLISH, LANGUAGES, gettext, language, language_of, speaking

# What a component says by itself; a value is a text of ours only where nobody else puts one.
_SAID = ("label", "placeholder", "info")
_SAYS_ITS_VALUE = frozenset({"button", "uploadbutton", "downloadbutton"})
# What Gradio calls a language, where it is more than ours.
_GRADIOS = {"zh": "zh-CN"}
# For the choice on the page: it is the server that speaks, so the page is fetched again.
CHOOSING = f"""element.addEventListener('change', event => {{
  const forever = 'path=/; samesite=strict; max-age=';
  const chosen = event.target.value;
  document.cookie = chosen ? `{COOKIE}=${{chosen}}; ${{forever}}315360000` : `{COOKIE}=; ${{forever}}0`;
  location.reload();
}});
const kept = /(?:^|; ){COOKIE}=(\\w+)/.exec(document.cookie);
const box = element.querySelector(`[value="${{kept ? kept[1] : ''}}"]`);
if (box) box.checked = true;"""


def said(text: Callable[[], str], **settings: Any) -> gr.HTML:
    """An element whose HTML no handler changes: ``text`` gives it in the language that is spoken."""
    element = gr.HTML(text(), **settings)
    element.said = text  # type: ignore[attr-defined]  # SpokenBlocks finds it there
    return element


class SpokenBlocks(gr.Blocks):
    """Gradio's page, whose description comes in the language that is spoken when it is asked for."""

    @property
    def config(self) -> Any:
        """What the browser builds the page from."""
        if language() == ENGLISH or not self._english:
            return self._english
        if language() not in self._translated:
            self._translated[language()] = {
                **self._english,
                "components": [self._in_language(each) for each in self._english["components"]],
            }
        return self._translated[language()]

    @config.setter
    def config(self, english: Any) -> None:
        self._english = english
        self._translated: dict[str, Any] = {}

    def _in_language(self, component: Mapping[str, Any]) -> dict[str, Any]:
        props = dict(component["props"])
        for name in messages_of(component):
            props[name] = _translated(props[name])
        text = getattr(self.blocks.get(component["id"]), "said", None)
        if text is not None:
            props["value"] = text()
        return {**component, "props": props}


def messages_of(component: Mapping[str, Any]) -> list[str]:
    """The names of those properties of a component, as Gradio describes it, that hold messages."""
    names = [*_SAID, *(["value"] if component["type"] in _SAYS_ITS_VALUE else []), "choices"]
    return [name for name in names if component["props"].get(name)]


def _translated(message: Any) -> Any:
    """A message, or choices as (what a person reads, its value), in the language that is spoken."""
    if isinstance(message, str):
        return gettext(message)
    return [(gettext(read), value) for read, value in message]


def head() -> str:
    """For the page's head: what Gradio itself says comes in the same language."""
    return (
        "<script>Object.defineProperty(navigator, 'language', {get: () => '"
        + _GRADIOS.get(language(), language())
        + "'});"
        "Object.defineProperty(navigator, 'languages', {get: () => [navigator.language]});</script>"
    )


def choice() -> str:
    """The languages to choose from."""
    options = "".join(
        f'<label><input type="radio" name="language" value="{code}"><span lang="{code}">{name}</span></label>'
        for code, name in LANGUAGES.items()
    )
    browsers = f'<label><input type="radio" name="language" value="">{gettext("As the browser says")}</label>'
    return f"<fieldset><legend>{gettext('Language')}</legend>{browsers}{options}</fieldset>"


class Spoken:
    """ASGI middleware: speaks the language of each request while it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with speaking(language_of(Headers(scope=scope))):
            await self._app(scope, receive, send)
