"""The tab Memory: what the story remembers, what is stale, and the lore it is told."""

from dataclasses import dataclass

import gradio as gr

from storyloom.ui.studio import book_view, lore_panel, memory_panel, reach, search_view
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.memory_html import headed
from storyloom.ui.studio.spoken import said
from storyloom.ui.studio.wiring import PICK, Wiring

ID = "memory"
TITLE = "Memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParts:
    """The question to long-term memory."""

    query: gr.Textbox
    search: gr.Button
    hits: gr.HTML


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The components of the tab, by what they are about."""

    memory: memory_panel.Parts
    stale: memory_panel.StaleParts
    search: SearchParts
    lore: lore_panel.BookParts
    firing: lore_panel.FiringParts
    characters: lore_panel.BookParts
    note: lore_panel.NoteParts
    reach: reach.Parts


def build() -> Parts:
    """Lay the tab out in two columns: what happened, and what the world is like."""
    with gr.Row(elem_id="remembering"):
        with gr.Column():
            memory, stale, search = memory_panel.build(), memory_panel.build_stale(), _search()
        with gr.Column():
            said(lambda: headed(gettext("Lore"), gettext("What the writer is told when its time comes.")))
            lore = lore_panel.build_book(book_view.LORE, "lore", "Add an entry", "Bring in a file")
            firing = lore_panel.build_firing()
            said(lambda: headed(gettext("Characters")))
            characters = lore_panel.build_book(
                book_view.CHARACTERS, "characters", "Add a character", "Bring in a card"
            )
            said(lambda: headed(gettext("Author’s note")))
            note = lore_panel.build_note()
    return Parts(
        memory=memory,
        stale=stale,
        search=search,
        lore=lore,
        firing=firing,
        characters=characters,
        note=note,
        reach=reach.build(),
    )


def connect(parts: Parts, wiring: Wiring, tab: gr.Tab) -> None:
    """Let every part call its handler; everything is loaded when the tab is opened."""
    opened = tab.select
    memory_panel.connect(parts.memory, parts.stale, wiring, opened)
    _connect_search(parts.search, wiring)
    edits = lore_panel.connect_books(parts.lore, parts.characters, wiring, opened)
    for edit in edits:
        memory_panel.refresh_stale(parts.stale, wiring, edit.then)
    lore_panel.connect_firing(parts.firing, wiring, opened, *(edit.then for edit in edits))
    lore_panel.connect_note(parts.note, wiring, opened)
    memory = parts.memory
    marked = (
        memory.notes,
        memory.proposals,
        memory.change,
        memory.gone,
        parts.search.hits,
        parts.firing.firing,
    )
    reach.connect(parts.reach, wiring, *(each.click for each in marked))


def _search() -> SearchParts:
    said(lambda: headed(gettext("Long-term memory"), gettext("Everything that was written, to be asked.")))
    with gr.Row(elem_id="asking"):
        query = gr.Textbox(label="What do you want to know?", elem_id="query", max_lines=3)
        search = gr.Button("Search", size="sm", elem_id="search")
    return SearchParts(query=query, search=search, hits=gr.HTML(elem_id="hits", js_on_load=PICK))


def _connect_search(parts: SearchParts, wiring: Wiring) -> None:
    for event in (parts.search.click, parts.query.submit):
        asked = wiring.on(event, search_view.looking, parts)
        wiring.on(asked.then, search_view.search, parts, parts.query)
