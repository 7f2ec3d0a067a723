"""The Inspect tab: how any paragraph was made, word by word, and what the story cost so far."""

from dataclasses import dataclass

import gradio as gr

from storyloom.ui.studio import inspect_view
from storyloom.ui.studio.wiring import PICK, QUIET, Wiring

ID, TITLE = "inspect", "Inspect"

_TO_TOP = "() => document.getElementById('inspect')?.scrollIntoView({block: 'start'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The tab's components, by the name of the value in ``inspect_view.View`` that they show."""

    back: gr.Button
    depth: gr.Number
    ahead: gr.Button
    paragraph: gr.HTML
    prompt: gr.HTML
    why: gr.Button
    effects: gr.HTML
    calls: gr.HTML
    charts: gr.HTML


def build() -> Parts:
    """Lay the tab out."""
    with gr.Column(elem_id="inspect"):
        with gr.Row(elem_id="inspect-which"):
            back = gr.Button("‹ Before", size="sm", elem_id="inspect-back")
            depth = gr.Number(label="Paragraph", precision=0, minimum=1, value=1, elem_id="inspect-depth")
            ahead = gr.Button("After ›", size="sm", elem_id="inspect-ahead")
        return Parts(
            back=back,
            depth=depth,
            ahead=ahead,
            paragraph=gr.HTML(elem_id="inspect-paragraph"),
            prompt=gr.HTML(elem_id="inspect-prompt", js_on_load=PICK),
            why=gr.Button("What each remembered thing did", size="sm", elem_id="inspect-why"),
            effects=gr.HTML(elem_id="inspect-effects", js_on_load=PICK),
            calls=gr.HTML(elem_id="inspect-calls"),
            charts=gr.HTML(elem_id="inspect-charts", js_on_load=PICK),
        )


def connect(parts: Parts, wiring: Wiring, tab: gr.Tab) -> None:
    """Let every part call its handler."""
    wiring.on(tab.select, inspect_view.opened, parts)
    # While a number is typed, its first digits are numbers too: the last one is what counts.
    wiring.on(parts.depth.input, inspect_view.typed, parts, parts.depth, trigger_mode="always_last")
    wiring.on(parts.back.click, inspect_view.back, parts, parts.depth)
    wiring.on(parts.ahead.click, inspect_view.ahead, parts, parts.depth)
    for html in (parts.prompt, parts.effects, parts.charts):
        picked = wiring.on_pick(html.click, inspect_view.picked, parts)
        picked.then(None, js=_TO_TOP, **QUIET)
    began = wiring.on(parts.why.click, inspect_view.scoring, parts)
    wiring.on(began.then, inspect_view.why, parts, parts.depth)
