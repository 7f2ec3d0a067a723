"""The form in which words of the picked paragraph are rewritten: its components and their handlers."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from storyloom.ui.studio import rewrite_html, rewrite_view
from storyloom.ui.studio.rewrite_view import Asked
from storyloom.ui.studio.wiring import Wiring

_LOOK_SECONDS = 0.25
# Says which words are marked as they are marked: a box that isn't typed in any more doesn't show it.
_MEANT = """const tell = () => {
  if (!element.isConnected) return document.removeEventListener('selectionchange', tell);
  const box = document.querySelector('#rewrite-words textarea');
  const line = element.querySelector('[data-some]');
  if (!box || !line) return;
  const words = box.value.slice(box.selectionStart, box.selectionEnd).trim();
  const told = words.length > 160 ? words.slice(0, 80) + ' … ' + words.slice(-60) : words;
  line.textContent = words ? line.dataset.some.replace('{words}', () => told) : line.dataset.all;
};
document.addEventListener('selectionchange', tell);"""
# Where the marked words begin and end, counted in whole characters as Python counts them.
_SPAN = """(place, asked, words, instruction, span) => {
  const box = document.querySelector('#rewrite-words textarea');
  const count = end => [...box.value.slice(0, end)].length;
  const marked = box ? `${count(box.selectionStart)} ${count(box.selectionEnd)}` : '';
  return [place, asked, words, instruction, marked];
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The form's components, by the values of ``rewrite_view.View``; ``start`` opens it."""

    start: gr.Button
    asked: gr.State
    box: gr.Column
    note: gr.HTML
    words: gr.Textbox
    meant: gr.HTML
    instruction: gr.Textbox
    span: gr.Textbox
    asking: gr.Row
    propose: gr.Button
    cancel: gr.Button
    coming: gr.Row
    stop: gr.Button
    shown: gr.HTML
    proposal: gr.Textbox
    deciding: gr.Row
    keep: gr.Button
    again: gr.Button
    throw_away: gr.Button
    clock: gr.Timer


def build_start() -> gr.Button:
    """The button that opens the form."""
    return gr.Button("Rewrite", size="sm", elem_id="rewrite")


def build(start: gr.Button) -> Parts:
    """Lay the form out."""
    made: dict[str, Any] = {"start": start, "asked": gr.State(Asked())}
    with gr.Column(elem_id="rewriting", visible=False) as made["box"]:
        made["words"] = gr.Textbox(label="Words", lines=4, max_lines=20, elem_id="rewrite-words")
        made["meant"] = gr.HTML(rewrite_html.meant(), elem_id="rewrite-meant", js_on_load=_MEANT)
        made["note"] = gr.HTML()
        made["instruction"] = gr.Textbox(
            label="What shall change?",
            placeholder="make it rain · shorter · in Ada’s voice",
            max_lines=4,
            elem_id="rewrite-instruction",
        )
        made["span"] = gr.Textbox(label="What is marked", elem_classes="unseen")
        with gr.Row() as made["asking"]:
            made["propose"] = _button("Propose", "propose")
            made["cancel"] = _button("Cancel", "cancel-rewrite")
        with gr.Row(visible=False) as made["coming"]:
            made["stop"] = _button("Stop", "stop-rewrite")
        made["shown"] = gr.HTML(elem_id="rewrite-shown")
        made["proposal"] = gr.Textbox(
            "", label="The proposal", lines=3, max_lines=12, elem_id="proposal", visible=False
        )
        with gr.Row(visible=False) as made["deciding"]:
            made["keep"] = _button("Keep it", "keep-rewrite")
            made["again"] = _button("Ask again", "rewrite-again")
            made["throw_away"] = _button("Throw it away", "throw-away")
        made["clock"] = gr.Timer(_LOOK_SECONDS, active=False)
    return Parts(**made)


def connect(parts: Parts, wiring: Wiring, depth: gr.Number) -> None:
    """Let each part call its handler; ``depth`` has the picked paragraph's number."""
    asked, words, proposal = parts.asked, parts.words, parts.proposal
    wiring.on(parts.start.click, rewrite_view.open_, parts, depth, asked, words, proposal)
    asking = (asked, words, parts.instruction)
    wiring.on(parts.propose.click, rewrite_view.propose, parts, *asking, parts.span, js=_SPAN)
    wiring.on(parts.clock.tick, rewrite_view.look, parts, asked, trigger_mode="once")
    wiring.on(parts.stop.click, rewrite_view.stop, parts, asked)
    wiring.on(parts.again.click, rewrite_view.again, parts, *asking, proposal)
    wiring.on(parts.throw_away.click, rewrite_view.throw_away, parts, asked)
    wiring.on(parts.cancel.click, rewrite_view.cancel, parts, asked)
    wiring.on_change(parts.keep.click, rewrite_view.keep, parts, asked, words, proposal)


def _button(label: str, name: str) -> gr.Button:
    return gr.Button(label, size="sm", elem_id=name)
