"""What an export leaves out, found by reading back what was written: no list of fields can be out of date."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

from storyloom.memory.lore import CharacterSheet, LoreEntry, LoreSettings
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks.entries import EntryForm
from storyloom.storage.formats.lorebooks.sentences import some

_NOT_COMPARED = {"id", "extensions"}


def of_entries(form: EntryForm, entries: Iterable[LoreEntry]) -> Iterator[str]:
    """What a form can't say of the entries, a sentence a field."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        back = form.read(form.write(entry))
        name = entry.name or ", ".join(entry.keys[:3]) or entry.id
        for field in fields(LoreEntry):
            if field.name not in _NOT_COMPARED and getattr(back, field.name) != getattr(entry, field.name):
                names[f"the field {field.name}"].append(name)
        for other in _others(entry.extensions, form.name):
            names[other].append(name)
    return (_told(f"{what} of {some(named)}") for what, named in names.items())


def of_characters(written: Sequence[CharacterSheet], characters: Iterable[CharacterSheet]) -> Iterator[str]:
    """Which characters, or what of those written, a form leaves out, a sentence each."""
    left = [sheet.name for sheet in characters if sheet not in written]
    if left:
        yield _told(f"the characters {some(left)}")
    for sheet in written:
        if not sheet.enabled:
            yield _told(f"that {sheet.name} is switched off")


def of_settings(settings: LoreSettings | None, back: LoreSettings | None) -> Iterator[str]:
    """Which settings come back otherwise, in one sentence."""
    back = back or LoreSettings()
    names = [
        field.name
        for field in fields(LoreSettings)
        if settings and getattr(back, field.name) != getattr(settings, field.name)
    ]
    if names:
        yield _told(f"the settings {', '.join(names)}")


def of_texts(lorebook: Lorebook, form: str, *, named: bool) -> Iterator[str]:
    """Which of the book's own texts and fields a form leaves out, a sentence each.

    Args:
        lorebook: the book.
        form: under which name the form keeps fields.
        named: whether the form has a place for the book's name.
    """
    if lorebook.name and not named:
        yield _told(f"the book's name “{lorebook.name}”")
    if lorebook.memory:
        yield _told("the text of the memory")
    if lorebook.authors_note:
        yield _told("the author's note")
    for other in _others(lorebook.extensions, form):
        yield _told(f"{other} of the book")


def _others(extensions: Mapping[str, object], form: str) -> list[str]:
    return [f"what only the form {other} has" for other in extensions if other != form]


def _told(what: str) -> str:
    return f"Not written, for this form has no place for it: {what}."
