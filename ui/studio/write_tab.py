"""How the Write tab is laid out: the book, its margin, and the bar below them."""

from typing import Any

import gradio as gr

from storyloom.ui.studio import edits_bar, keys, paragraph_panel, plans_panel, sampling_panel
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.spoken import said
from storyloom.ui.studio.wiring import PICK

# The number that was clicked last is marked, on a narrow page its panel comes into sight.
_MARK = """element.addEventListener('click', event => {
  const mark = event.target.closest('[data-pick]');
  if (!mark) return;
  element.querySelectorAll('[aria-current]').forEach(old => old.removeAttribute('aria-current'));
  mark.setAttribute('aria-current', 'true');
  document.getElementById('about-paragraph')?.scrollIntoView({block: 'nearest'});
});"""
# A story opens where it can be gone on with, once it is on the page.
TO_END = """() => {
  const look = tries => {
    const text = document.querySelector('#text article');
    if (text) text.scrollIntoView({block: 'end'});
    else if (tries) setTimeout(look, 50, tries - 1);
  };
  look(40);
}"""
# Back from another tab the text lies as it was left; a story that comes there for the first time, at its end.
# Other tabs open at their top. A tab that a handler opens is scrolled by whoever asked for it.
KEEP_PLACE = f"""() => {{
  const text = () => document.getElementById('book')?.offsetParent;
  const to_end = {TO_END};
  let left = [];
  const settle = (tab, tries) => {{
    const again = () => tries && setTimeout(settle, 50, tab, tries - 1);
    if (tab.ariaSelected !== 'true') return again();
    if (!text()) return scrollTo(0, 0);
    if (left[0] !== location.search) return to_end();
    scrollTo(0, left[1]);
    if (Math.abs(scrollY - left[1]) > 1) again();  // it is still being laid out
  }};
  document.addEventListener('click', event => {{
    const tab = event.target.closest('#tabs [role=tab]');
    if (!tab || tab.ariaSelected === 'true') return;
    if (text()) left = [location.search, scrollY];
    setTimeout(settle, 0, tab, 40);
  }}, true);
}}"""
TO_DRAFT = """() => setTimeout(() => document.getElementById('draft')
  ?.scrollIntoView({block: 'nearest', behavior: 'smooth'}), 60)"""


def build(made: dict[str, Any]) -> None:
    """Lay it out; each component is put into ``made`` by its name in the page's ``Parts``."""
    with gr.Row(elem_id="story"):
        with gr.Column(elem_id="book"):
            draft_all = _book(made)
        with gr.Column(elem_id="margin"):
            _margin(made)
    made["drafts"] = plans_panel.build_drafts(draft_all)
    with gr.Row(elem_id="bar"):
        made["status"] = gr.HTML(elem_id="status")
        made["gauge"] = gr.HTML(elem_id="gauge")
        made["stop"] = gr.Button("Stop", elem_id="stop", visible=False)
        made["write"] = gr.Button("Write on", elem_id="write", variant="primary")
        made["edits"] = edits_bar.build()


def _book(made: dict[str, Any]) -> gr.Button:
    made["earlier"] = gr.Button("Earlier paragraphs", elem_id="earlier", visible=False)
    made["text"] = gr.HTML(elem_id="text", js_on_load=PICK + _MARK)
    made["draft"] = gr.HTML(elem_id="draft")
    with gr.Column(elem_id="cut-off", visible=False) as made["interrupted"]:
        made["cut_off"] = gr.HTML()
        with gr.Row():
            made["take_words"] = gr.Button("Use as the plan", size="sm", elem_id="take-words")
            made["dismiss"] = gr.Button("Dismiss", size="sm", elem_id="dismiss")
    with gr.Column(elem_id="plans"):
        said(_next)
        made["plans"] = plans_panel.build()
        draft_all = gr.Button("Draft all three", size="sm", elem_id="draft-all", visible=False)
        made["own_plan"] = gr.Textbox(
            label="Or say it yourself",
            placeholder="Write what should happen in the next paragraph, or let Storyloom choose…",
            lines=2,
            max_lines=8,
            elem_id="own-plan",
        )
    return draft_all


def _margin(made: dict[str, Any]) -> None:
    made["paragraph"], made["rewriting"] = paragraph_panel.build()
    with gr.Accordion("Memory", elem_id="memory-panel"):
        made["memory"] = gr.Textbox(
            label="What the story remembers just now", lines=6, max_lines=16, elem_id="memory"
        )
        made["save_memory"] = gr.Button("Save", size="sm", elem_id="save-memory")
        made["memory_note"] = gr.HTML(elem_id="memory-note")
        made["memory_change"] = gr.HTML(elem_id="memory-change")
    with gr.Accordion("Strands", open=False, elem_id="strands-panel"):
        made["strands"] = gr.Dropdown(label="Open strand", elem_id="strands", filterable=False)
    with gr.Accordion("The story", open=False, elem_id="about-panel"):
        made["about"] = gr.HTML(elem_id="about")
    made["sampling"] = sampling_panel.build()
    said(keys.hint, elem_id="keys")


def _next() -> str:
    return f"<h3>{gettext('What happens next')}</h3>"
