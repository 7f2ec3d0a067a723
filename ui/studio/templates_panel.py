"""The editor of the prompts' templates in the settings. No handler lives here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from storyloom.ui.studio import templates_view
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.spoken import said
from storyloom.ui.studio.wiring import PICK, QUIET, Wiring

# On a narrow page the editor lies far below the list.
_TO_EDITOR = """() => setTimeout(() => document.getElementById('template-editor')
  ?.scrollIntoView({block: 'nearest'}), 60)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The editor's components, by the values of ``templates_view.View``."""

    section: gr.Column
    listing: gr.HTML
    editor: gr.Column
    heading: gr.HTML
    source: gr.Textbox
    save: gr.Button
    back: gr.Button
    put_away: gr.Column
    former: gr.Dropdown
    told: gr.HTML
    difference: gr.HTML
    preview: gr.HTML
    box: gr.State


def build() -> Parts:
    """Lay it out; the page of a server with users doesn't have it."""
    made: dict[str, Any] = {}
    with gr.Column(elem_id="templates", visible=False) as made["section"]:
        said(_heading)
        made["listing"] = gr.HTML(elem_id="template-list", js_on_load=PICK)
        with gr.Column(visible=False, elem_id="template-editor") as made["editor"]:
            made["heading"] = gr.HTML(elem_id="template-heading")
            with gr.Row(elem_id="template-panes"):
                with gr.Column(elem_id="template-text"):
                    _text(made)
                with gr.Column(elem_id="template-preview"):
                    said(lambda: f"<h4>{gettext('Preview')}</h4>")
                    made["preview"] = gr.HTML(elem_id="preview")
    return Parts(box=gr.State(templates_view.Box()), **made)


def _text(made: dict[str, Any]) -> None:
    made["source"] = gr.Textbox(
        "",
        label="The template’s text, in Jinja2",
        lines=18,
        max_lines=28,
        autoscroll=False,
        elem_id="template-source",
    )
    with gr.Row(elem_classes="actions"):
        made["save"] = gr.Button("Save", size="sm", elem_id="save-template")
        made["back"] = gr.Button("Back to ours", size="sm", elem_id="back-to-ours", interactive=False)
    made["told"] = gr.HTML(elem_id="template-told", elem_classes="told", js_on_load=PICK)
    with gr.Column(visible=False, elem_id="put-away") as made["put_away"]:
        made["former"] = gr.Dropdown(
            label="Your earlier texts", choices=[], elem_id="former-texts", filterable=False
        )
    with gr.Accordion("The difference to ours", open=False, elem_id="template-difference"):
        made["difference"] = gr.HTML()


def connect(parts: Parts, wiring: Wiring, opened: Callable[..., Any]) -> None:
    """Let every part call its handler; ``opened`` comes when the tab is opened."""
    box = (parts.box, parts.source)
    wiring.on(opened, templates_view.opened, parts, *box)
    picked = wiring.on_pick(parts.listing.click, templates_view.pick, parts, *box)
    picked.then(None, js=_TO_EDITOR, **QUIET)
    # Of a box that was filled from here Gradio swallows the first input, such as a text that is pasted, but
    # no change. While words are typed each of them is a text too: the last one is what counts.
    wiring.on(parts.source.change, templates_view.typed, parts, *box, trigger_mode="always_last")
    wiring.on(parts.save.click, templates_view.save, parts, *box)
    wiring.on(parts.back.click, templates_view.back, parts, *box)
    wiring.on(parts.former.input, templates_view.bring_back, parts, *box, parts.former, trigger_mode="once")
    wiring.on_pick(parts.told.click, templates_view.put_back, parts, *box)


def _heading() -> str:
    told = gettext(
        "The words that models are asked with. Your own text takes the place of ours from the next paragraph "
        "on, for every story of this server."
    )
    return f'<h2>{gettext("Prompt templates")}</h2><p class="quiet">{told}</p>'
