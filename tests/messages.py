"""The studio's messages, and its translations brought up to date: ``make messages``."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

from storyloom.app.presets import OURS
from storyloom.app.template_editing import PURPOSES
from storyloom.ui.studio.languages import ENGLISH, LANGUAGES
from storyloom.ui.studio.page import build
from storyloom.ui.studio.spoken import messages_of

ROOT = Path(__file__).resolve().parents[1]
STUDIO = ROOT / "ui" / "studio"
# What says a message, and of how many texts it consists: its first arguments.
_CALLS = {"gettext": 1, "ngettext": 2, "gettext_noop": 1}

_HEADER = """msgid ""
msgstr ""
"Language: {code}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: {plurals}\\n"

"""


def used() -> Catalog:
    """Every message of the studio: those that its code says, and those that its components have."""
    catalog = Catalog(fuzzy=False)
    for call in calls():
        texts = tuple(str(text.value) for text in message_of(call) if isinstance(text, ast.Constant))
        if texts:  # a table's message is named in the table
            catalog.add(texts if len(texts) > 1 else texts[0])
    for message in (*_on_components(), *_of_rooms_below()):
        catalog.add(message)
    return catalog


def calls() -> Iterator[ast.Call]:
    """Every call in the studio's code that says a message.

    Babel's own extraction reads tokens: it overlooks a call in an f-string, and one within another.
    """
    for path in sorted(STUDIO.rglob("*.py")):
        found = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if _says(node)]
        yield from sorted(found, key=lambda call: (call.lineno, call.col_offset))


def message_of(call: ast.Call) -> list[ast.expr]:
    """What a call says: a text, or two of them for one thing and for many."""
    return call.args[: _CALLS[call.func.id]] if isinstance(call.func, ast.Name) else []


def translated(code: str) -> Catalog:
    """What a language's file says."""
    with (STUDIO / "messages" / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def is_whole(message: Message) -> bool:
    """Whether it has its translation, in each of its plural forms."""
    strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
    return all(strings)


def _says(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS


def _of_rooms_below() -> Iterator[str]:
    """What rooms below call things that they list, which the page says in its language."""
    yield from PURPOSES.values()
    for preset in OURS:
        yield from (preset.name, preset.why)


def _on_components() -> Iterator[str]:
    for component in asyncio.run(_page())["components"]:
        for name in messages_of(component):
            value: Any = component["props"][name]
            yield from [value] if isinstance(value, str) else (read for read, _ in value)


async def _page() -> Any:
    """The page as Gradio describes it, made where a loop runs: Gradio leaves one open where none does."""
    return build().page.config


def main() -> None:
    """Add what is new to every language's file, to be translated there, and drop what is used no longer."""
    messages = used()
    for code in LANGUAGES:
        if code == ENGLISH:
            continue
        known, fresh = translated(code), Catalog(locale=code, fuzzy=False)
        for message in messages:
            if message.id:
                old = known.get(message.id)
                fresh.add(message.id, old.string if old else "")
        with (STUDIO / "messages" / f"{code}.po").open("wb") as file:
            file.write(_HEADER.format(code=code, plurals=fresh.plural_forms).encode())
            write_po(file, fresh, width=0, omit_header=True, no_location=True)


if __name__ == "__main__":
    main()
