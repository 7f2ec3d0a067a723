"""The panel on the Write tab that says how the next paragraph is drawn. No handler lives here."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from storyloom.ui.studio import sampling_view
from storyloom.ui.studio.wiring import PICK, Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The panel's components, by the values of ``sampling_view.View``."""

    panel: gr.Accordion
    preset: gr.Dropdown
    now: gr.HTML
    dials: tuple[gr.Slider, ...]
    use: gr.Button
    name: gr.Textbox
    keep: gr.Button
    told: gr.HTML


def build() -> Parts:
    """Lay it out; it is filled when it is unfolded, for the model has to be asked."""
    made: dict[str, Any] = {}
    with gr.Accordion("Sampling", open=False, elem_id="sampling-panel") as panel:
        made["preset"] = gr.Dropdown(
            label="How the next paragraph is drawn", choices=[], elem_id="preset", filterable=False
        )
        made["told"] = gr.HTML(elem_id="sampling-told", elem_classes="told", js_on_load=PICK)
        made["now"] = gr.HTML(elem_id="sampling-now")
        with gr.Accordion("Set the values yourself", open=False, elem_id="dials"):
            main = [_dial(dial) for dial in sampling_view.MAIN]
            with gr.Accordion("More of them", open=False, elem_id="more-dials"):
                more = [_dial(dial) for dial in sampling_view.MORE]
            made["use"] = gr.Button("Draw with these", size="sm", elem_id="use-dials")
            made["name"] = gr.Textbox("", label="Keep them under a name", max_lines=1, elem_id="preset-name")
            made["keep"] = gr.Button("Save as a preset", size="sm", elem_id="keep-preset")
    return Parts(panel=panel, dials=(*main, *more), **made)


def connect(parts: Parts, wiring: Wiring) -> None:
    """Let every part call its handler."""
    wiring.on(parts.panel.expand, sampling_view.opened, parts)
    # Gradio's list tells of one choice twice at times.
    wiring.on(parts.preset.input, sampling_view.choose, parts, parts.preset, trigger_mode="once")
    wiring.on(parts.use.click, sampling_view.change, parts, *parts.dials)
    wiring.on(parts.keep.click, sampling_view.keep, parts, parts.name, *parts.dials)
    wiring.on_pick(parts.told.click, sampling_view.undo, parts)


def _dial(dial: sampling_view.Dial) -> gr.Slider:
    return gr.Slider(
        dial.least,
        dial.most,
        value=dial.least,
        step=dial.step,
        label=dial.title,
        info=dial.hint,
        buttons=[],
        elem_id=f"dial-{dial.name}",
    )
