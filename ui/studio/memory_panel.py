"""Short-term memory and what is stale: their components, and which handler each of them calls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from storyloom.ui.studio import memory_view, stale_view
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.memory_html import headed
from storyloom.ui.studio.spoken import said
from storyloom.ui.studio.wiring import PICK, Wiring

_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The components of short-term memory, by the values of ``memory_view.View``."""

    told: gr.HTML
    notes: gr.HTML
    proposals: gr.HTML
    asks: gr.Checkbox
    text: gr.Textbox
    shown: gr.State
    save: gr.Button
    change: gr.HTML
    gone: gr.HTML


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleParts:
    """The components of what is stale, by the values of ``stale_view.View``."""

    stale: gr.HTML
    again: gr.Button
    settle: gr.Button
    stop: gr.Button
    progress: gr.HTML
    clock: gr.Timer
    rebuild: gr.State
    ended: gr.Textbox


def build() -> Parts:
    """Lay short-term memory out."""
    made: dict[str, Any] = {}
    said(
        lambda: headed(gettext("Short-term memory"), gettext("What the next paragraph will be written with."))
    )
    made["proposals"] = gr.HTML(elem_id="proposals", js_on_load=PICK)
    made["notes"] = gr.HTML(elem_id="notes", js_on_load=PICK)
    made["told"] = gr.HTML(elem_id="memory-told", elem_classes="told", js_on_load=PICK)
    made["asks"] = gr.Checkbox(label="The keeper asks before it changes the page", elem_id="asks")
    with gr.Accordion("The page as a text", open=False, elem_id="page-text"):
        made["text"] = gr.Textbox(
            "", label="A sentence a line", lines=6, max_lines=20, elem_id="whole-page", elem_classes="written"
        )
        made["shown"] = gr.State("")
        made["save"] = gr.Button("Save", size="sm", elem_id="save-page")
    with gr.Accordion("The last change", open=False, elem_id="last-change"):
        made["change"] = gr.HTML(elem_classes="listed", js_on_load=PICK)
    with gr.Accordion("Sentences that left", open=False, elem_id="left-page"):
        made["gone"] = gr.HTML(elem_classes="listed", js_on_load=PICK)
    return Parts(**made)


def build_stale() -> StaleParts:
    """Lay out what is stale."""
    made: dict[str, Any] = {}
    said(lambda: headed(gettext("Stale"), gettext("What was made from a text that has been edited since.")))
    made["stale"] = gr.HTML(elem_id="stale", elem_classes="listed")
    with gr.Row(elem_classes="actions"):
        made["again"] = gr.Button("Make it again", size="sm", elem_id="again", visible=False)
        made["settle"] = gr.Button("Let it stand", size="sm", elem_id="settle", visible=False)
        made["stop"] = gr.Button("Stop", size="sm", elem_id="stop-making", visible=False)
    made["progress"] = gr.HTML(elem_id="making", elem_classes="told")
    made["clock"] = gr.Timer(_LOOK_SECONDS, active=False)
    made["rebuild"] = gr.State("")
    made["ended"] = gr.Textbox(label="What was made again", elem_classes="unseen")
    return StaleParts(**made)


def connect(parts: Parts, stale: StaleParts, wiring: Wiring, opened: Callable[..., Any]) -> None:
    """Let every part call its handler; ``opened`` comes when the tab is opened."""
    box = (parts.text, parts.shown)
    wiring.on(opened, memory_view.opened, parts, *box)
    edits = [
        wiring.on_pick(parts.notes.click, memory_view.pick, parts, *box),
        wiring.on_pick(parts.proposals.click, memory_view.pick, parts, *box),
        wiring.on_pick(parts.told.click, memory_view.undo, parts, *box),
        wiring.on(parts.save.click, memory_view.save, parts, parts.text),
        wiring.on(parts.asks.input, memory_view.ask, parts, parts.asks),
    ]
    for edit in edits:
        refresh_stale(stale, wiring, edit.then)
        wiring.reopen(edit.then)
    wiring.on(opened, stale_view.opened, stale)
    wiring.on(stale.again.click, stale_view.again, stale)
    wiring.on(stale.settle.click, stale_view.settle, stale)
    wiring.on(stale.stop.click, stale_view.stop, stale)
    wiring.on(stale.clock.tick, stale_view.look, stale, stale.rebuild, trigger_mode="once")
    wiring.on(stale.ended.change, memory_view.opened, parts, *box)
    wiring.reopen(stale.ended.change)


def refresh_stale(stale: StaleParts, wiring: Wiring, event: Callable[..., Any]) -> None:
    """At an event: show what is stale anew."""
    wiring.on(event, stale_view.refreshed, stale)
