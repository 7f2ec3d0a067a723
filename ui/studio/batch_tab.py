"""Batches, and how far their stories are, looked at again and again while the tab is open."""

from dataclasses import dataclass

import gradio as gr

from storyloom.ui.studio import batch_view
from storyloom.ui.studio.wiring import PICK, Wiring

ID = "batch"
TITLE = "Batch"
_LOOK_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Its components."""

    batches: gr.HTML
    timer: gr.Timer


def build() -> Parts:
    """Lay it out."""
    return Parts(
        batches=gr.HTML(elem_id="batches", js_on_load=PICK), timer=gr.Timer(_LOOK_SECONDS, active=False)
    )


def connect(parts: Parts, wiring: Wiring, tab: gr.Tab) -> None:
    """Let every part call its handler; the timer runs from when the tab is opened first.

    It isn't halted when another tab is opened: that answer could come after the one to opening this again.
    """
    wiring.on(tab.select, batch_view.opened, parts)
    wiring.on(parts.timer.tick, batch_view.looked, parts, trigger_mode="once")
    wiring.on_pick(parts.batches.click, batch_view.cancel, parts)
