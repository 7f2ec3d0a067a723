"""Lore, characters and the author's note: their components, and which handler each of them calls."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from storyloom.ui.studio import book_view, form_parts, lore_view
from storyloom.ui.studio.book_view import CHARACTERS, LORE, Book
from storyloom.ui.studio.wiring import PICK, Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class BookParts:
    """The components of a list and its form, by the values of ``book_view.View``."""

    table: gr.HTML
    told: gr.HTML
    add: gr.Button
    upload: gr.UploadButton
    links: gr.HTML
    panel: gr.Column
    heading: gr.HTML
    fields: tuple[Any, ...]
    opened: gr.State
    save: gr.Button
    close: gr.Button
    remove: gr.Button


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringParts:
    """The box that tells which entries would fire."""

    text: gr.Textbox
    firing: gr.HTML


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteParts:
    """The components of the author's note, by the values of ``lore_view.NoteView``."""

    note: gr.Textbox
    depth: gr.Textbox
    shown: gr.State
    told: gr.HTML
    save: gr.Button


def build_book(book: Book[Any], name: str, add: str, bring_in: str) -> BookParts:
    """Lay a list and its form out.

    Args:
        book: what the list is of.
        name: begins the ids of its elements.
        add: what its button to add one says.
        bring_in: what its button to bring in another program's file says.
    """
    made: dict[str, Any] = {}
    made["table"] = gr.HTML(elem_id=f"{name}-table", elem_classes="book-table", js_on_load=PICK)
    made["told"] = gr.HTML(elem_id=f"{name}-told", elem_classes="told", js_on_load=PICK)
    with gr.Row(elem_classes="actions"):
        made["add"] = gr.Button(add, size="sm", elem_id=f"{name}-add")
        made["upload"] = gr.UploadButton(bring_in, size="sm", elem_id=f"{name}-file")
    made["opened"] = gr.State(book_view.CLOSED)
    with gr.Column(visible=False, elem_id=f"{name}-form", elem_classes="entry-form") as made["panel"]:
        made["heading"] = gr.HTML()
        made["fields"] = form_parts.build(book.fields)
        with gr.Row(elem_classes="actions"):
            made["save"] = gr.Button("Save", size="sm", variant="primary", elem_id=f"{name}-save")
            made["close"] = gr.Button("Close", size="sm", elem_id=f"{name}-close")
            made["remove"] = gr.Button("Delete", size="sm", elem_id=f"{name}-delete")
    made["links"] = gr.HTML(elem_id=f"{name}-links")
    return BookParts(**made)


def build_firing() -> FiringParts:
    """Lay the live box out."""
    return FiringParts(
        text=gr.Textbox(
            "",
            label="Which entries would fire now?",
            placeholder="What happens next, if you like…",
            lines=2,
            max_lines=6,
            elem_id="firing-text",
            elem_classes="written",
        ),
        firing=gr.HTML(elem_id="firing", elem_classes="listed", js_on_load=PICK),
    )


def build_note() -> NoteParts:
    """Lay the author's note out."""
    made: dict[str, Any] = {}
    made["note"] = gr.Textbox(
        "",
        label="What the writer should mind in every paragraph",
        lines=3,
        max_lines=10,
        elem_id="authors-note",
        elem_classes="written",
    )
    made["depth"] = gr.Textbox(
        "",
        max_lines=1,
        label="So many paragraphs stand after it (empty: at its usual place)",
        elem_id="note-depth",
    )
    made["shown"] = gr.State(("", ""))
    made["save"] = gr.Button("Save", size="sm", elem_id="save-note")
    made["told"] = gr.HTML(elem_id="note-told", elem_classes="told", js_on_load=PICK)
    return NoteParts(**made)


def connect_books(
    lore: BookParts, characters: BookParts, wiring: Wiring, opened: Callable[..., Any]
) -> list[Any]:
    """Let both lists call their handlers; gives the events that may change the story."""
    lists: tuple[tuple[BookParts, Book[Any]], ...] = ((lore, LORE), (characters, CHARACTERS))
    edits = []
    for parts, book in lists:
        brought = wiring.on(parts.upload.upload, partial(lore_view.bring_in, book), parts, parts.upload)
        edits += [*_connect_book(parts, book, wiring, opened), brought]
        for other, other_book in lists:  # a file may hold entries and characters
            if other is not parts:
                wiring.on(brought.then, partial(book_view.listed, other_book), other)
    return edits


def _connect_book(parts: BookParts, book: Book[Any], wiring: Wiring, opened: Callable[..., Any]) -> list[Any]:
    form = (parts.opened, *parts.fields)
    wiring.on(opened, partial(book_view.listed, book), parts)
    wiring.on(parts.add.click, partial(book_view.add, book), parts, *form)
    wiring.on(parts.close.click, partial(book_view.close, book), parts)
    return [
        wiring.on_pick(parts.table.click, partial(book_view.pick, book), parts, *form),
        wiring.on_pick(parts.told.click, partial(book_view.undo, book), parts),
        wiring.on(parts.save.click, partial(book_view.save, book), parts, *form),
        wiring.on(parts.remove.click, partial(book_view.remove, book), parts, parts.opened),
    ]


def connect_firing(parts: FiringParts, wiring: Wiring, *events: Callable[..., Any]) -> None:
    """Tell which entries would fire: as the person types, and at events."""
    # Gradio tells ``input`` nothing of the first words in a box, such as a pasted text.
    wiring.on(parts.text.change, lore_view.firing, parts, parts.text, trigger_mode="always_last")
    # Gradio's page loses what is typed between the events of a chain.
    for event in (parts.text.blur, *events):
        wiring.on(event, lore_view.firing, parts, parts.text)


def connect_note(parts: NoteParts, wiring: Wiring, opened: Callable[..., Any]) -> None:
    """Let every part of the author's note call its handler."""
    wiring.on(opened, lore_view.note, parts, parts.note, parts.depth, parts.shown)
    wiring.on(parts.save.click, lore_view.save_note, parts, parts.note, parts.depth)
    wiring.on_pick(parts.told.click, lore_view.undo_note, parts)
