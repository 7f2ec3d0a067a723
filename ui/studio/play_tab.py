"""The Play tab: the story as its reader plays it. No handler lives here."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from storyloom.memory.action import Manner
from storyloom.ui.studio import play_view
from storyloom.ui.studio.wiring import PICK, QUIET, Wiring

ID = "play"
TITLE = "Play"

_MANNERS = [("Do", Manner.DO.value), ("Say", Manner.SAY.value), ("Story", Manner.STORY.value)]
# The end of the story, or the turn that is being told, stands right above the bar.
_TO_END = """() => {
  const look = tries => {
    const told = document.querySelector('#play-draft .turn, #play-text .turn');
    if (told && told.offsetParent) document.getElementById('play-end').scrollIntoView({block: 'end'});
    else if (tries) setTimeout(look, 50, tries - 1);
  };
  look(20);
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The tab's components."""

    watched: gr.State
    text: gr.HTML
    earlier: gr.Button
    draft: gr.HTML
    offers: gr.HTML
    retry: gr.Button
    undo: gr.Button
    status: gr.HTML
    manner: gr.Radio
    action: gr.Textbox
    send: gr.Button
    stop: gr.Button


def build() -> Parts:
    """Lay the tab out."""
    made: dict[str, Any] = {"watched": gr.State("")}
    with gr.Column(elem_id="play"):
        made["earlier"] = gr.Button("Earlier", elem_id="play-earlier", size="sm", visible=False)
        made["text"] = gr.HTML(elem_id="play-text", js_on_load=PICK)
        made["draft"] = gr.HTML(elem_id="play-draft")
        made["offers"] = gr.HTML(elem_id="play-offers", js_on_load=PICK)
        with gr.Row(elem_id="play-turns"):
            made["retry"] = gr.Button("Retry", elem_id="play-retry", size="sm", visible=False)
            made["undo"] = gr.Button("Undo turn", elem_id="play-undo", size="sm", visible=False)
        gr.HTML(elem_id="play-end")
    with gr.Column(elem_id="play-bar"):
        made["status"] = gr.HTML(elem_id="play-status")
        with gr.Row(elem_id="play-input"):
            made["manner"] = gr.Radio(
                _MANNERS, value=Manner.DO.value, label="How it is meant", elem_id="play-manner"
            )
            made["action"] = gr.Textbox(
                label="What do you do?",
                placeholder="What do you do?",
                lines=1,
                max_lines=6,
                elem_id="play-action",
            )
            made["send"] = gr.Button("Send", variant="primary", elem_id="play-send")
            made["stop"] = gr.Button("Stop", elem_id="play-stop", visible=False)
    return Parts(**made)


def connect(parts: Parts, wiring: Wiring, tab: gr.Tab) -> None:
    """Let every part call its handler."""
    acts = (
        wiring.on(parts.action.submit, play_view.act, parts, parts.manner, parts.action),
        wiring.on(parts.send.click, play_view.act, parts, parts.manner, parts.action),
        wiring.on_pick(parts.offers.click, play_view.choose, parts),
        wiring.on(parts.retry.click, play_view.retry, parts),
    )
    for told in acts:
        wiring.reopen(told.then)
        _follow(told, parts, wiring)
    for moved in (
        wiring.on(parts.undo.click, play_view.undo, parts),
        wiring.on_pick(parts.text.click, play_view.go_back, parts),
    ):
        wiring.reopen(moved.then)
        moved.then(None, js=_TO_END, **QUIET)
    wiring.on(parts.manner.change, play_view.meant, parts, parts.manner, trigger_mode="always_last")
    wiring.on(parts.earlier.click, play_view.earlier, parts)
    wiring.on(parts.stop.click, play_view.stop, parts, parts.watched)
    _follow(wiring.on(tab.select, play_view.opened, parts), parts, wiring)


def _follow(event: Any, parts: Parts, wiring: Wiring) -> None:
    """After an event: follow what is being told, and settle when it has ended."""
    event.then(None, js=_TO_END, **QUIET)
    followed = wiring.on_stream(event.then, play_view.follow, parts, parts.watched)
    said = (parts.manner, parts.action)
    settled = wiring.on(followed.then, play_view.settle, parts, parts.watched, *said)
    settled.then(None, js=_TO_END, **QUIET)
