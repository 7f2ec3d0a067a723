"""The plans on the Write tab, each a card that can be edited. No handler lives here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from storyloom.ui.studio import drafts_view, plans_view
from storyloom.ui.studio.wiring import PICK, QUIET, Wiring

_TO_DRAFTS = """() => setTimeout(() => document.getElementById('drafts')
  ?.scrollIntoView({block: 'nearest', behavior: 'smooth'}), 60)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The cards' components."""

    cards: gr.Column
    first: gr.Textbox
    second: gr.Textbox
    third: gr.Textbox
    write_first: gr.Button
    write_second: gr.Button
    write_third: gr.Button

    @property
    def boxes(self) -> tuple[gr.Textbox, ...]:
        """The texts of the plans."""
        return self.first, self.second, self.third

    @property
    def buttons(self) -> tuple[gr.Button, ...]:
        """What writes by each of them."""
        return self.write_first, self.write_second, self.write_third


def build() -> Parts:
    """Lay the cards out."""
    made: dict[str, Any] = {}
    with gr.Column(elem_id="cards", visible=False) as cards:
        for number, name in enumerate(("first", "second", "third"), start=1):
            with gr.Column(elem_classes="card"):
                made[name] = gr.Textbox(
                    label=f"Plan {number}", lines=1, max_lines=8, elem_id=f"plan-{number}"
                )
                made[f"write_{name}"] = gr.Button("Write this", size="sm", elem_id=f"write-plan-{number}")
    return Parts(cards=cards, **made)


def shown(parts: Parts, plans: tuple[str, ...] | None, busy: bool | None) -> dict[Any, Any]:
    """What changes on the cards, as Gradio takes it.

    Args:
        parts: the cards' components.
        plans: the plans that are offered, if they are other ones; without any there are no cards.
        busy: whether a paragraph comes, if that changed: its plans wait, for the next ones take their place.
    """
    told: dict[Any, Any] = {} if plans is None else {parts.cards: gr.update(visible=bool(plans))}
    usable: dict[str, Any] = {} if busy is None else {"interactive": not busy}
    texts = [None] * plans_view.CARDS if plans is None else plans_view.filled(plans)
    for box, text in zip(parts.boxes, texts, strict=True):
        if change := usable if text is None else {**usable, "value": text}:
            told[box] = gr.update(**change)
    if usable:
        told.update(dict.fromkeys(parts.buttons, gr.update(**usable)))
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """The components of the drafts side by side."""

    draft_all: gr.Button
    drafts: gr.HTML
    drafting: gr.Textbox


def build_drafts(draft_all: gr.Button) -> Drafts:
    """Lay the drafts out, away from the button that asks for them."""
    return Drafts(
        draft_all=draft_all,
        drafts=gr.HTML(elem_id="drafts", js_on_load=PICK),
        drafting=gr.Textbox(visible="hidden", label="Drafting", elem_id="drafting"),
    )


def connect_drafts(parts: Drafts, cards: Parts, wiring: Wiring) -> None:
    """Let the drafts be written, followed and kept."""
    wiring.on(parts.draft_all.click, drafts_view.draft_all, parts, *cards.boxes).then(
        None, js=_TO_DRAFTS, **QUIET
    )
    wiring.reopen(wiring.on_pick(parts.drafts.click, drafts_view.pick, parts).then)
    wiring.on_stream(parts.drafting.change, drafts_view.follow, parts, parts.drafting)


def connect(parts: Parts, begins: Callable[..., Any]) -> None:
    """Let each card be written.

    Args:
        parts: the cards' components.
        begins: ``begins(event, handler, *inputs)`` calls a handler that starts a writing, and follows that.
    """
    for number, (button, box) in enumerate(zip(parts.buttons, parts.boxes, strict=True), start=1):
        begins(button.click, partial(plans_view.write_this, number), box)
