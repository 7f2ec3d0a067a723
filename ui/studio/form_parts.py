"""A form's components."""

from collections.abc import Iterable, Sequence
from typing import Any

import gradio as gr

from storyloom.ui.studio.form import OPEN_OPTIONS, Field, Kind


def build(fields: Sequence[Field]) -> tuple[Any, ...]:
    """A component a field, in their order; those that are seldom needed are folded away."""
    made = dict(_laid_out([field for field in fields if not field.rare]))
    rare = [field for field in fields if field.rare]
    if rare:
        with gr.Accordion("More", open=False, elem_classes="more"):
            made.update(_laid_out(rare))
    return tuple(made[field.name] for field in fields)


def _laid_out(fields: Iterable[Field]) -> list[tuple[str, Any]]:
    return [(field.name, _component(field)) for field in fields]


def _component(field: Field) -> Any:
    common: dict[str, Any] = {"label": field.label, "info": field.hint or None}
    match field.kind:
        case Kind.TEXT:
            return gr.Textbox(lines=3, max_lines=12, elem_classes=["field", "written"], **common)
        case Kind.FLAG:
            return gr.Checkbox(elem_classes=["field", "short"], **common)
        case Kind.NUMBER:
            return gr.Number(value=None, elem_classes=["field", "short"], **common)
        case Kind.OPEN:
            return gr.Dropdown(list(OPEN_OPTIONS), value="", filterable=False, elem_classes="field", **common)
        case Kind.CHOICE:
            options, first = list(field.options), field.options[0][1]
            return gr.Dropdown(options, value=first, filterable=False, elem_classes="field", **common)
        case _:
            return gr.Textbox(max_lines=4, elem_classes="field", **common)
