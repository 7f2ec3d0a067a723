"""A new story step by step: premise, outline, characters, first paragraph. Every step can be gone back to."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from storyloom.memory.story import Mode
from storyloom.ui.studio import new_story_html, new_story_view
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.library import MODES
from storyloom.ui.studio.new_story_view import MOST_SHEETS, Draft
from storyloom.ui.studio.spoken import said
from storyloom.ui.studio.wiring import Wiring

ID = "new-story"
TITLE = "New story"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Its components."""

    draft: gr.State
    trail: gr.HTML
    steps: tuple[gr.Column, ...]
    # The premise.
    premise: gr.Textbox
    mode: gr.Radio
    to_outline: gr.Button
    # Title and outline.
    title: gr.Textbox
    outline: gr.Textbox
    another: gr.Button
    former: gr.Button
    to_characters: gr.Button
    # The characters.
    sheets: tuple[gr.Column, ...]
    names: tuple[gr.Textbox, ...]
    descriptions: tuple[gr.Textbox, ...]
    more: gr.Button
    to_first: gr.Button
    # The first paragraph.
    summary: gr.HTML
    plan: gr.Textbox
    write: gr.Button
    backs: tuple[gr.Button, ...]
    doing: gr.HTML


def build() -> Parts:
    """Lay it out."""
    made: dict[str, Any] = {"draft": gr.State(Draft())}
    made["trail"] = said(lambda: new_story_html.trail(0), elem_id="trail")
    steps, backs = [], []
    for number, lay_out in enumerate((_premise, _outline, _characters, _first)):
        with gr.Column(visible=number == 0, elem_classes="draft-step") as step:
            lay_out(made)
            with gr.Row(elem_classes="draft-buttons"):
                if number:
                    backs.append(gr.Button("Back", elem_id=f"draft-back-{number}"))
                name, label = _NEXT[number]
                made[name] = gr.Button(label, variant="primary", elem_id=f"draft-{name.replace('_', '-')}")
        steps.append(step)
    made["doing"] = gr.HTML(elem_id="draft-doing")
    return Parts(steps=tuple(steps), backs=tuple(backs), **made)


_NEXT = (
    ("to_outline", "Make an outline"),
    ("to_characters", "Next: the characters"),
    ("to_first", "Next: the first paragraph"),
    ("write", "Begin writing"),
)


def _premise(made: dict[str, Any]) -> None:
    made["premise"] = gr.Textbox(
        value="",
        label="What is the story about?",
        placeholder="Who is in it, what they want, what stands in their way…",
        lines=5,
        max_lines=16,
        elem_id="draft-premise",
        elem_classes="serif",
    )
    made["mode"] = gr.Radio(MODES, value=Mode.NOVEL.value, label="What it will be", elem_id="draft-mode")


def _outline(made: dict[str, Any]) -> None:
    made["title"] = gr.Textbox(value="", label="Title", elem_id="draft-title", elem_classes="serif")
    made["outline"] = gr.Textbox(
        value="", label="Outline", lines=8, max_lines=24, elem_id="draft-outline", elem_classes="serif"
    )
    with gr.Row(elem_classes="draft-tools"):
        made["another"] = gr.Button("Make another", size="sm", elem_id="draft-another")
        made["former"] = gr.Button("The one before", size="sm", visible=False, elem_id="draft-former")


def _characters(made: dict[str, Any]) -> None:
    said(lambda: f'<p class="quiet">{gettext("Who is in it? What is left empty is left out.")}</p>')
    sheets, names, descriptions = [], [], []
    for number in range(1, MOST_SHEETS + 1):
        with gr.Column(visible=number <= Draft().shown, elem_classes="draft-sheet") as sheet:
            names.append(
                gr.Textbox(value="", label=f"Name of character {number}", elem_id=f"draft-name-{number}")
            )
            descriptions.append(
                gr.Textbox(
                    value="",
                    label="What a writer must know",
                    lines=3,
                    max_lines=10,
                    elem_id=f"draft-about-{number}",
                )
            )
        sheets.append(sheet)
    made["sheets"], made["names"] = tuple(sheets), tuple(names)
    made["descriptions"] = tuple(descriptions)
    with gr.Row(elem_classes="draft-tools"):
        made["more"] = gr.Button("Another character", size="sm", elem_id="draft-more")


def _first(made: dict[str, Any]) -> None:
    made["summary"] = gr.HTML(elem_id="draft-summary")
    made["plan"] = gr.Textbox(
        value="",
        label="What happens first? (or leave it to Storyloom)",
        lines=2,
        max_lines=8,
        elem_id="draft-plan",
        elem_classes="serif",
    )


def connect(parts: Parts, wiring: Wiring, tab: gr.Tab) -> None:  # noqa: ARG001  (nothing is loaded)
    """Let every part call its handler."""
    texts = (parts.title, parts.outline)
    asked = wiring.on(parts.to_outline.click, new_story_view.outlining, parts)
    wiring.on(asked.then, new_story_view.to_outline, parts, parts.draft, parts.premise, parts.mode, *texts)
    again = wiring.on(parts.another.click, new_story_view.outlining, parts)
    wiring.on(again.then, new_story_view.another, parts, parts.draft, *texts)
    wiring.on(parts.former.click, new_story_view.former, parts, parts.draft, parts.outline)
    wiring.on(parts.to_characters.click, new_story_view.to_characters, parts, parts.draft, *texts)
    wiring.on(parts.more.click, new_story_view.more, parts, parts.draft)
    people = (*parts.names, *parts.descriptions)
    wiring.on(parts.to_first.click, new_story_view.to_first, parts, parts.draft, *people)
    for back, handler in zip(parts.backs, new_story_view.BACK, strict=True):
        wiring.on(back.click, handler, parts)
    begun = wiring.on(parts.write.click, new_story_view.begin, parts, parts.draft, parts.plan)
    wiring.reopen(begun.then)
