"""The first tab where no story is open: the quick way into a new one, and those there are."""

from dataclasses import dataclass
from functools import partial

import gradio as gr

from storyloom.memory.story import Mode
from storyloom.ui.studio import library_view
from storyloom.ui.studio.wiring import PICK, Wiring

ID = "stories"
TITLE = "Stories"
MODES = [("A novel", Mode.NOVEL.value), ("A document", Mode.DOCUMENT.value), ("A game to play", "fiction")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Its components."""

    premise: gr.Textbox
    title: gr.Textbox
    mode: gr.Radio
    begin: gr.Button
    search: gr.Textbox
    upload: gr.UploadButton
    told: gr.HTML
    undo: gr.Button
    deleted: gr.State
    shelf: gr.HTML


def build() -> Parts:
    """Lay it out."""
    premise = gr.Textbox(
        value="",
        label="What is the story about?",
        placeholder="A lighthouse keeper finds a door in the sea…",
        lines=4,
        max_lines=12,
        elem_id="premise",
    )
    title = gr.Textbox(value="", label="Title (or leave it to Storyloom)", elem_id="title")
    mode = gr.Radio(MODES, value=Mode.NOVEL.value, label="What it will be", elem_id="mode")
    begin = gr.Button("Begin", variant="primary", elem_id="begin")
    with gr.Row(elem_id="shelf-bar"):
        search = gr.Textbox(value="", label="Find a title", elem_id="search", visible=False)
        upload = gr.UploadButton(
            "Import a file…",
            file_types=[".json", ".txt", ".md"],
            size="sm",
            elem_id="upload",
        )
    with gr.Row(elem_id="told"):
        told = gr.HTML()
        undo = gr.Button("Undo", size="sm", visible=False, elem_id="undo")
    return Parts(
        premise=premise,
        title=title,
        mode=mode,
        begin=begin,
        search=search,
        upload=upload,
        told=told,
        undo=undo,
        deleted=gr.State(()),
        shelf=gr.HTML(elem_id="shelf", js_on_load=PICK),
    )


def connect(parts: Parts, wiring: Wiring, tab: gr.Tab) -> None:
    """Let every part call its handler; what begins a story is the Write tab's."""
    # One event, so that no listing is overtaken by an older one. Gradio tells ``input`` nothing of the first
    # words in a box that has just appeared.
    listing = partial(gr.on, [tab.select, parts.search.change])
    wiring.on(listing, library_view.listed, parts, parts.search, trigger_mode="always_last")
    wiring.on_pick(parts.shelf.click, library_view.pressed, parts, parts.search, parts.deleted)
    wiring.on(parts.undo.click, library_view.undo, parts, parts.search, parts.deleted)
    coming = wiring.on(parts.upload.upload, library_view.coming, parts)
    wiring.on(coming.then, library_view.bring_in, parts, parts.upload, parts.search)
