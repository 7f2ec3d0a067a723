"""The way from a paragraph's number on any tab to the paragraph in the text."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.wiring import QUIET, Wiring

# The text may have to come first: it is looked for until it is there.
_SCROLL = """goal => {
  const depth = goal.split(':')[0];
  const look = tries => {
    const mark = document.querySelector(`#text [data-depth="${depth}"]`);
    if (mark && mark.offsetParent) {
      mark.scrollIntoView({block: 'center'});
      mark.focus({preventScroll: true});
    } else if (tries) setTimeout(look, 100, tries - 1);
  };
  if (depth) look(80);
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Hidden boxes whose changes call what must follow.

    Attributes:
        goal: the paragraph to go to, and a mark that makes each wish another.
        older: changes where the text must first show more of the story's beginning.
    """

    goal: gr.Textbox
    older: gr.Textbox


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page."""

    place: Place | None = None
    tab: str | None = None
    goal: str | None = None
    older: str | None = None


def build() -> Parts:
    """Two boxes that nobody sees."""
    return Parts(
        goal=gr.Textbox(label="Paragraph to go to", elem_classes="unseen"),
        older=gr.Textbox(label="Paragraph to be shown first", elem_classes="unseen"),
    )


def connect(parts: Parts, wiring: Wiring, *clicks: Callable[..., Any]) -> None:
    """Let clicks on ``data-pick="paragraph"`` with ``data-depth`` open the paragraph in the text."""
    for click in clicks:
        wiring.on_pick(click, to_paragraph, parts)
    wiring.reopen(parts.older.change)
    parts.goal.change(None, parts.goal, None, js=_SCROLL, **QUIET)


def to_paragraph(house: House, place: Place, picked: Mapping[str, str]) -> View:
    """Open the text at a paragraph."""
    if picked.get("pick") != "paragraph":
        return View()
    depth = int(picked["depth"])
    goal = f"{depth}:{secrets.token_hex(4)}"
    window = house.studio.progress(place.story_id, place.strand_id).paragraphs - depth + 1
    if window <= place.window:
        return View(tab="write", goal=goal)
    return View(tab="write", goal=goal, older=goal, place=replace(place, window=window))
