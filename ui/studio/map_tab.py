"""The Map tab: the tree of a story's strands, their names, their archive, and two of them side by side."""

from dataclasses import dataclass
from functools import partial

import gradio as gr

from storyloom.ui.studio import map_view
from storyloom.ui.studio.wiring import PICK, Wiring

ID, TITLE = "map", "Map"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The tab's components, by the name of the value in ``map_view.View`` that they show."""

    tree: gr.HTML
    show_archived: gr.Checkbox
    strand: gr.Dropdown
    name: gr.Textbox
    rename: gr.Button
    archive: gr.Button
    bring_back: gr.Button
    go_to: gr.Button
    compare: gr.Button
    told: gr.HTML
    comparison: gr.HTML
    compared: gr.State
    more: gr.Button


def build() -> Parts:
    """Lay the tab out."""
    with gr.Column(elem_id="map"):
        tree = gr.HTML(elem_id="map-tree", js_on_load=PICK)
        show_archived = gr.Checkbox(label="Show archived", visible=False, elem_id="map-archived")
        with gr.Row(elem_id="map-strand"):
            strand = gr.Dropdown(label="Strand", elem_id="map-chosen", filterable=False)
            go_to = gr.Button("Open it", size="sm", elem_id="map-open")
            compare = gr.Button("Put it beside the open one", size="sm", elem_id="map-compare")
        with gr.Row(elem_id="map-naming"):
            name = gr.Textbox(label="Its name", elem_id="map-name")
            rename = gr.Button("Name it", size="sm", elem_id="map-rename")
            archive = gr.Button("Archive", size="sm", elem_id="map-archive")
            bring_back = gr.Button("Bring back", size="sm", visible=False, elem_id="map-bring-back")
        told = gr.HTML(elem_id="map-told")
        comparison = gr.HTML(elem_id="map-comparison")
        more = gr.Button("More", size="sm", visible=False, elem_id="map-more")
    return Parts(
        tree=tree,
        show_archived=show_archived,
        strand=strand,
        name=name,
        rename=rename,
        archive=archive,
        bring_back=bring_back,
        go_to=go_to,
        compare=compare,
        told=told,
        comparison=comparison,
        compared=gr.State(("", 0)),
        more=more,
    )


def connect(parts: Parts, wiring: Wiring, tab: gr.Tab) -> None:
    """Let every part call its handler."""
    shown = parts.show_archived
    # One event, so that no tree with what is archived is overtaken by one without.
    wiring.on(
        partial(gr.on, [tab.select, shown.input]), map_view.opened, parts, shown, trigger_mode="always_last"
    )
    wiring.on(parts.strand.input, map_view.chosen, parts, parts.strand)
    picked = wiring.on_pick(parts.tree.click, map_view.picked, parts)
    went = wiring.on(parts.go_to.click, map_view.go_to, parts, parts.strand)
    for event in (picked, went):
        wiring.reopen(event.then)
    wiring.on(parts.compare.click, map_view.compare, parts, parts.strand)
    wiring.on(parts.more.click, map_view.more, parts, parts.compared)
    for event in (parts.rename.click, parts.name.submit):
        wiring.on(event, map_view.rename, parts, parts.strand, parts.name, shown)
    wiring.on(parts.archive.click, map_view.archive, parts, parts.strand, shown)
    wiring.on(parts.bring_back.click, map_view.bring_back, parts, parts.strand, shown)
