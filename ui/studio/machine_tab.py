"""What this page stands on: models, presets, templates and the doctor's findings; how it looks, its keys."""

from dataclasses import dataclass

import gradio as gr

from storyloom.ui.studio import machine_html, machine_view, presets_panel, shade, spoken, templates_panel
from storyloom.ui.studio.spoken import said
from storyloom.ui.studio.wiring import Wiring

ID = "machine"
TITLE = "Settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineParts:
    """The components that tell of this machine, by the values of ``machine_view.View``."""

    models: gr.HTML
    findings: gr.HTML
    examine: gr.Button


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Its components, by what they are about."""

    own: MachineParts
    presets: presets_panel.Parts
    templates: templates_panel.Parts


def build() -> Parts:
    """Lay it out."""
    with gr.Column(elem_id="looks"):
        said(machine_html.shades, elem_id="shades", js_on_load=shade.CHOOSING)
        said(spoken.choice, elem_id="languages", js_on_load=spoken.CHOOSING)
    models = gr.HTML(elem_id="models")
    presets = presets_panel.build()
    templates = templates_panel.build()
    with gr.Column(elem_id="doctor"):
        findings = said(machine_html.unexamined)
        examine = gr.Button("Look at everything", size="sm", elem_id="examine")
    said(machine_html.keys, elem_id="keys")
    own = MachineParts(models=models, findings=findings, examine=examine)
    return Parts(own=own, presets=presets, templates=templates)


def connect(parts: Parts, wiring: Wiring, tab: gr.Tab) -> None:
    """Let every part call its handler; the theme is the browser's own affair."""
    wiring.on(tab.select, machine_view.opened, parts.own)
    presets_panel.connect(parts.presets, wiring, tab.select)
    templates_panel.connect(parts.templates, wiring, tab.select)
    asked = wiring.on(parts.own.examine.click, machine_view.examining, parts.own)
    wiring.on(asked.then, machine_view.examined, parts.own)
