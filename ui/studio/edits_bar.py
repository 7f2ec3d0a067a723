"""The buttons that undo and redo edits by hand; each is there only when it can do something."""

from dataclasses import dataclass

import gradio as gr

from storyloom.ui.studio import edits_view
from storyloom.ui.studio.wiring import Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The buttons."""

    undo: gr.Button
    redo: gr.Button


def build() -> Parts:
    """Lay them out, where the bar is."""
    return Parts(
        undo=gr.Button("Undo", elem_id="undo", size="sm", visible=False),
        redo=gr.Button("Redo", elem_id="redo", size="sm", visible=False),
    )


def connect(parts: Parts, wiring: Wiring) -> None:
    """Let each call its handler."""
    wiring.on_change(parts.undo.click, edits_view.undo, parts)
    wiring.on_change(parts.redo.click, edits_view.redo, parts)
