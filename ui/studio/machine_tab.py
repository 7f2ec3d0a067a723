"""What this page stands on: models, versions and the doctor's findings; how it looks, and its keys."""

from dataclasses import dataclass

import gradio as gr

from storyloom.ui.studio import machine_html, machine_view
from storyloom.ui.studio.shade import CHOOSING
from storyloom.ui.studio.wiring import Wiring

ID = "machine"
TITLE = "Settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Its components."""

    models: gr.HTML
    findings: gr.HTML
    examine: gr.Button


def build() -> Parts:
    """Lay it out."""
    gr.HTML(machine_html.shades(), elem_id="shades", js_on_load=CHOOSING)
    models = gr.HTML(elem_id="models")
    with gr.Column(elem_id="doctor"):
        findings = gr.HTML(machine_html.unexamined())
        examine = gr.Button("Look at everything", size="sm", elem_id="examine")
    gr.HTML(machine_html.keys(), elem_id="keys")
    return Parts(models=models, findings=findings, examine=examine)


def connect(parts: Parts, wiring: Wiring, tab: gr.Tab) -> None:
    """Let every part call its handler; the theme is the browser's own affair."""
    wiring.on(tab.select, machine_view.opened, parts)
    asked = wiring.on(parts.examine.click, machine_view.examining, parts)
    wiring.on(asked.then, machine_view.examined, parts)
