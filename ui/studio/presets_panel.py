"""The presets of sampling in the settings. No handler lives here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from storyloom.ui.studio import presets_view
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.spoken import said
from storyloom.ui.studio.wiring import PICK, Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The components, by the values of ``presets_view.View``."""

    presets: gr.HTML
    told: gr.HTML
    form: gr.Column
    new_name: gr.Textbox
    rename: gr.Button
    leave: gr.Button
    renamed: gr.State


def build() -> Parts:
    """Lay them out."""
    made: dict[str, Any] = {}
    with gr.Column(elem_id="presets-section"):
        said(_heading)
        made["presets"] = gr.HTML(elem_id="presets", js_on_load=PICK)
        made["told"] = gr.HTML(elem_id="presets-told", elem_classes="told", js_on_load=PICK)
        with gr.Column(visible=False, elem_id="preset-form") as made["form"]:
            made["new_name"] = gr.Textbox("", label="Another name", max_lines=1, elem_id="new-preset-name")
            with gr.Row(elem_classes="actions"):
                made["rename"] = gr.Button("Rename", size="sm", elem_id="rename-preset")
                made["leave"] = gr.Button("Leave it", size="sm", elem_id="leave-preset")
    return Parts(renamed=gr.State(""), **made)


def connect(parts: Parts, wiring: Wiring, opened: Callable[..., Any]) -> None:
    """Let every part call its handler; ``opened`` comes when the tab is opened."""
    wiring.on(opened, presets_view.opened, parts)
    wiring.on_pick(parts.presets.click, presets_view.pick, parts)
    wiring.on_pick(parts.told.click, presets_view.pick, parts)
    for event in (parts.rename.click, parts.new_name.submit):
        wiring.on(event, presets_view.rename, parts, parts.renamed, parts.new_name)
    wiring.on(parts.leave.click, presets_view.leave, parts)


def _heading() -> str:
    told = gettext(
        "How boldly a paragraph is drawn. Choose one for a story on its Write tab, under Sampling; there you "
        "keep presets of your own, too."
    )
    return f'<h2>{gettext("Sampling presets")}</h2><p class="quiet">{told}</p>'
