"""The panel of the picked paragraph: its versions, its words, its place, and how it was made."""

from dataclasses import dataclass

import gradio as gr

from storyloom.ui.studio import paragraph_view, rebuild_view, rewrite_panel
from storyloom.ui.studio.paragraph_view import Form
from storyloom.ui.studio.wiring import Wiring

_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The panel's components.

    Attributes:
        form: which form is open, and about which paragraph.
        cut: where a paragraph shall be split: the second's first character.
        look: shows how the paragraph was made.
        clock: looks at memory that is being made again.
        making: that making's id.
        ended: changes where it has ended, so that the page shows memory anew.
    """

    panel: gr.Accordion
    depth: gr.Number
    version: gr.HTML
    earlier_version: gr.Button
    later_version: gr.Button
    again: gr.Button
    edit: gr.Button
    insert: gr.Button
    split: gr.Button
    remove: gr.Button
    branch: gr.Button
    look: gr.Button
    form: gr.State
    form_box: gr.Column
    form_note: gr.HTML
    words: gr.Textbox
    cuts_box: gr.Column
    cut: gr.Radio
    save: gr.Button
    cancel: gr.Button
    stale: gr.HTML
    rebuild: gr.Button
    stop_rebuild: gr.Button
    clock: gr.Timer
    making: gr.State
    ended: gr.Textbox
    provenance: gr.HTML


def build() -> tuple[Parts, rewrite_panel.Parts]:
    """Lay it out, in the margin, with the form in which words are rewritten."""
    with gr.Accordion("A paragraph", open=False, elem_id="about-paragraph") as panel:
        depth = gr.Number(label="Number", precision=0, minimum=1, value=1, elem_id="depth")
        with gr.Row(elem_id="versions"):
            earlier_version = _button("‹ Earlier", "earlier-version")
            version = gr.HTML(elem_id="version")
            later_version = _button("Later ›", "later-version")
        with gr.Row():
            again = _button("Write it again", "again")
            edit = _button("Edit", "edit")
            rewrite = rewrite_panel.build_start()
            insert = _button("Insert before", "insert")
            split = _button("Split", "split")
            remove = _button("Delete", "remove")
            branch = _button("Branch from here", "branch")
            look = _button("How it was made", "look")
        form = gr.State(Form())
        with gr.Column(elem_id="paragraph-form", visible=False) as form_box:
            words = gr.Textbox(label="Words", lines=8, max_lines=20, elem_id="words")
            with gr.Column(visible=False) as cuts_box:
                cut = gr.Radio([], label="The second begins with", elem_id="cut")
            form_note = gr.HTML(elem_id="form-note")
            with gr.Row():
                save = _button("Save", "save-form")
                cancel = _button("Cancel", "cancel-form")
        rewriting = rewrite_panel.build(rewrite)
        stale = gr.HTML(elem_id="stale")
        with gr.Row():
            rebuild = gr.Button("Make the memory again", size="sm", elem_id="rebuild", visible=False)
            stop_rebuild = gr.Button("Stop making it", size="sm", elem_id="stop-rebuild", visible=False)
        clock = gr.Timer(_LOOK_SECONDS, active=False)
        making = gr.State("")
        ended = gr.Textbox(label="What was made again", elem_classes="unseen")
        provenance = gr.HTML(elem_id="provenance")
    parts = Parts(
        panel=panel,
        depth=depth,
        version=version,
        earlier_version=earlier_version,
        later_version=later_version,
        again=again,
        edit=edit,
        insert=insert,
        split=split,
        remove=remove,
        branch=branch,
        look=look,
        form=form,
        form_box=form_box,
        form_note=form_note,
        words=words,
        cuts_box=cuts_box,
        cut=cut,
        save=save,
        cancel=cancel,
        stale=stale,
        rebuild=rebuild,
        stop_rebuild=stop_rebuild,
        clock=clock,
        making=making,
        ended=ended,
        provenance=provenance,
    )
    return parts, rewriting


def changing(parts: Parts) -> tuple[gr.Button, ...]:
    """What has to wait while a paragraph is being written."""
    return parts.again, parts.edit, parts.insert, parts.split, parts.remove, parts.branch


def connect(parts: Parts, wiring: Wiring, text: gr.HTML) -> None:
    """Let each part call its handler.

    Args:
        parts: the panel's.
        wiring: connects them.
        text: the story's paragraphs, whose numbers pick one.
    """
    depth, writing = parts.depth, (parts.depth, parts.form, parts.words)
    wiring.on_pick(text.click, paragraph_view.pick, parts)
    wiring.on(depth.input, paragraph_view.number, parts, depth)
    wiring.on(parts.look.click, paragraph_view.look_into, parts, depth)
    wiring.on(parts.edit.click, paragraph_view.edit, parts, *writing)
    wiring.on(parts.insert.click, paragraph_view.insert, parts, *writing)
    wiring.on(parts.split.click, paragraph_view.split, parts, *writing)
    wiring.on(parts.cancel.click, paragraph_view.cancel, parts)
    for button, handler in (
        (parts.branch, paragraph_view.branch),
        (parts.remove, paragraph_view.remove),
        (parts.again, paragraph_view.write_again),
        (parts.earlier_version, paragraph_view.earlier_version),
        (parts.later_version, paragraph_view.later_version),
    ):
        wiring.on_change(button.click, handler, parts, depth)
    wiring.on_change(parts.save.click, paragraph_view.save, parts, parts.form, parts.words, parts.cut)
    wiring.on(parts.rebuild.click, rebuild_view.rebuild, parts)
    wiring.on(parts.stop_rebuild.click, rebuild_view.stop, parts)
    wiring.on(parts.clock.tick, rebuild_view.look, parts, parts.making, trigger_mode="once")
    wiring.reopen(parts.ended.change)


def _button(label: str, name: str) -> gr.Button:
    return gr.Button(label, size="sm", elem_id=name)
