"""The studio's messages, and its translations brought up to date: ``make messages``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from storyloom.ui.studio.languages import ENGLISH, LANGUAGES
from storyloom.ui.studio.page import build
from storyloom.ui.studio.spoken import messages_of

ROOT = Path(__file__).resolve().parents[1]
STUDIO = ROOT / "ui" / "studio"
_CALLS: dict[str, tuple[int, ...] | None] = {"gettext": None, "ngettext": (1, 2), "gettext_noop": None}

_HEADER = """msgid ""
msgstr ""
"Language: {code}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: {plurals}\\n"

"""


def used() -> Catalog:
    """Every message of the studio: those that its code says, and those that its components have."""
    catalog = Catalog(fuzzy=False)
    for _, _, message, _, _ in sorted(extract_from_dir(STUDIO, keywords=_CALLS), key=lambda found: found[:2]):
        catalog.add(message)
    for message in _on_components():
        catalog.add(message)
    return catalog


def translated(code: str) -> Catalog:
    """What a language's file says."""
    with (STUDIO / "messages" / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def is_whole(message: Message) -> bool:
    """Whether it has its translation, in each of its plural forms."""
    strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
    return all(strings)


def _on_components() -> Iterator[str]:
    for component in build().page.config["components"]:
        for name in messages_of(component):
            value: Any = component["props"][name]
            yield from [value] if isinstance(value, str) else (read for read, _ in value)


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
