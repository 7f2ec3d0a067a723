"""The page: its components, and which handler each of them calls. No handler lives here."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, fields
from time import monotonic
from typing import Any, Protocol

import gradio as gr

from storyloom.memory.errors import StoryloomError
from storyloom.ui.studio import (
    api,
    batch_tab,
    edits_bar,
    inspect_tab,
    keys,
    library_view,
    machine_tab,
    map_tab,
    memory_tab,
    new_story_tab,
    paragraph_panel,
    plans_panel,
    plans_view,
    play_tab,
    rewrite_panel,
    sampling_panel,
    write_html,
    write_tab,
    write_view,
)
from storyloom.ui.studio import library as stories_tab
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.spoken import SpokenBlocks, said
from storyloom.ui.studio.whereabouts import Whereabouts
from storyloom.ui.studio.wiring import (
    EACH,
    QUIET,
    STREAM,
    Answers,
    Frame,
    Houses,
    Text,
    Wiring,
    changes,
    heard,
)
from storyloom.ui.studio.write_view import View

Handler = Callable[..., View]

# The address follows the page, so that a reload, a second tab or a link opens the same place.
_ADDRESS = """address => {
  const next = address ? '?' + address : location.pathname;
  if (location.search !== (address ? '?' + address : '')) history.replaceState(null, '', next);
}"""


class TabModule(Protocol):
    """A tab, of a story beside Write or of the page without one: a module of its own."""

    ID: str
    TITLE: str

    def build(self) -> Any:
        """Lay it out; gives its ``Parts``."""

    def connect(self, parts: Any, wiring: Wiring, tab: gr.Tab) -> None:
        """Let every part call its handler; ``tab.select`` comes when it is opened."""


# Beside Write, where a story is open.
TABS: tuple[TabModule, ...] = (play_tab, memory_tab, inspect_tab, map_tab)
# Beside the list of stories, where none is open.
HOME_TABS: tuple[TabModule, ...] = (new_story_tab, batch_tab, machine_tab)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The page's components, by the name of the value in ``View`` that they show."""

    page: gr.Blocks
    place: gr.State
    address: gr.Textbox
    attached: gr.Textbox
    masthead: gr.HTML
    text: gr.HTML
    draft: gr.HTML
    status: gr.HTML
    gauge: gr.HTML
    notice: gr.HTML
    cut_off: gr.HTML
    plans: plans_panel.Parts
    drafts: plans_panel.Drafts
    own_plan: gr.Textbox
    memory: gr.Textbox
    memory_note: gr.HTML
    memory_change: gr.HTML
    strands: gr.Dropdown
    paragraph: paragraph_panel.Parts
    rewriting: rewrite_panel.Parts
    sampling: sampling_panel.Parts
    edits: edits_bar.Parts
    about: gr.HTML
    # Places that come and go.
    library: gr.Column
    home: gr.Tabs
    stories: tuple[gr.Tab, stories_tab.Parts]
    home_others: tuple[tuple[gr.Tab, Any], ...]
    tabs: gr.Tabs
    others: tuple[tuple[gr.Tab, Any], ...]
    interrupted: gr.Column
    # Buttons.
    earlier: gr.Button
    write: gr.Button
    stop: gr.Button
    save_memory: gr.Button
    take_words: gr.Button
    dismiss: gr.Button

    def frame(self, tabs: gr.Tabs) -> Frame:
        """What the tabs of one row share."""
        return Frame(
            place=self.place, notice=self.notice, tabs=tabs, status=self.status, strands=self.strands
        )


def build() -> Parts:
    """Lay the page out; nothing on it does anything yet."""
    made: dict[str, Any] = {}
    with SpokenBlocks(title="Storyloom", analytics_enabled=False, fill_width=True) as page:
        made["place"] = gr.State(Place())
        made["address"] = gr.Textbox(visible="hidden", label="Address")
        # Named when a page finds something being written that it didn't ask for.
        made["attached"] = gr.Textbox(visible="hidden", label="Attached")
        made["masthead"] = said(write_html.masthead, elem_id="masthead")
        with gr.Column(elem_id="library", visible=False) as made["library"]:
            _home(made)
        with gr.Tabs(elem_id="tabs", visible=False, selected="write") as made["tabs"]:
            with gr.Tab("Write", id="write"):
                write_tab.build(made)
            made["others"] = tuple(_other(tab) for tab in TABS)
        made["notice"] = gr.HTML(elem_id="notice")
    return Parts(page=page, **made)


def _home(made: dict[str, Any]) -> None:
    with gr.Tabs(elem_id="home", selected=stories_tab.ID) as made["home"]:
        made["stories"] = _other(stories_tab)
        made["home_others"] = tuple(_other(tab) for tab in HOME_TABS)


def _other(tab: TabModule) -> tuple[gr.Tab, Any]:
    """A tab and its parts."""
    with gr.Tab(tab.TITLE, id=tab.ID) as made:
        return made, tab.build()


def connect(parts: Parts, houses: Houses) -> None:
    """Let every part call its handler."""
    whereabouts = Whereabouts()
    wiring = _Writing(parts, houses, whereabouts)
    place = parts.place
    with parts.page:
        tab, stories = parts.stories
        arrived = parts.page.load(
            wiring.arrival(), None, [*wiring.outputs, stories.shelf, stories.search], **QUIET
        )
        arrived.then(None, js=write_tab.TO_END, **QUIET)
        for script in (keys.SCRIPT, write_tab.KEEP_PLACE):
            parts.page.load(None, js=script, **QUIET)
        wiring.watch_at(parts.attached.change)
        form = (stories.premise, stories.title, stories.mode)
        begun = wiring.on(stories.begin.click, write_view.begin, *form)
        wiring.watch_at(begun.then)
        wiring.begin_at(parts.write.click, plans_view.write_on, parts.own_plan, *parts.plans.boxes)
        plans_panel.connect(parts.plans, wiring.begin_at)
        wiring.on(parts.strands.input, write_view.switch, place, parts.strands)
        again = wiring.on_each
        again(parts.stop.click, write_view.stop, place)
        again(parts.earlier.click, write_view.earlier, place)
        again(parts.save_memory.click, write_view.save_memory, place, parts.memory)
        again(parts.take_words.click, write_view.take_words, place)
        again(parts.dismiss.click, write_view.dismiss, place)
        parts.address.change(None, parts.address, None, js=_ADDRESS, **QUIET)
        text = Text(outputs=wiring.outputs, shown=wiring.shown)
        at_home = Wiring(
            houses, parts.frame(parts.home), wiring.reopen_at, wiring.watch_at, text, whereabouts
        )
        stories_tab.connect(stories, at_home, tab)
        others = Wiring(houses, parts.frame(parts.tabs), wiring.reopen_at, wiring.watch_at, text, whereabouts)
        plans_panel.connect_drafts(parts.drafts, parts.plans, others)
        paragraph_panel.connect(parts.paragraph, others, parts.text)
        rewrite_panel.connect(parts.rewriting, others, parts.paragraph.depth)
        edits_bar.connect(parts.edits, others)
        sampling_panel.connect(parts.sampling, others)
        for modules, made, shared in ((HOME_TABS, parts.home_others, at_home), (TABS, parts.others, others)):
            for module, (tab, own) in zip(modules, made, strict=True):
                module.connect(own, shared, tab)


# What changes while a paragraph comes: at every look Gradio sends an answer for each output.
_FOLLOWED = ("place", "address", "masthead", "text", "draft", "status", "gauge", "notice", "earlier")
# What isn't a component that the Write tab's handlers show by itself.
_GROUPS = (
    "page", "home", "stories", "home_others", "others", "plans", "drafts", "paragraph", "rewriting", "edits",
    "sampling",
)  # fmt: skip


class _Writing:
    """Turns the Write tab's handlers of values into functions of components."""

    def __init__(self, parts: Parts, houses: Houses, whereabouts: Whereabouts) -> None:
        self._parts = parts
        self._houses = houses
        self._answers = Answers(houses, whereabouts, parts.place, parts.notice)
        self.outputs = [getattr(parts, field.name) for field in fields(parts) if field.name not in _GROUPS]
        for group in (parts.plans, parts.drafts, parts.paragraph, parts.edits):
            self.outputs += [getattr(group, field.name) for field in fields(group)]
        self.outputs.append(parts.rewriting.start)

    def on(self, event: Callable[..., Any], handler: Handler, *inputs: Any, **settings: Any) -> Any:
        """Call a handler at an event, with the inputs' values; not while an earlier call is at work."""

        def handle(request: gr.Request, *values: Any) -> dict[Any, Any]:
            place = next((value for value in values if isinstance(value, Place)), Place())
            return self._answers.told(
                lambda house: shown(handler(house, *values), self._parts), request, place
            )

        return event(handle, list(inputs), self.outputs, **QUIET, **settings)

    def on_each(self, event: Callable[..., Any], handler: Handler, *inputs: Any) -> Any:
        """Call a handler at every event, even while an earlier call is at work."""
        return self.on(event, handler, *inputs, **EACH)

    def shown(self, house: House, place: Place) -> dict[Any, Any]:
        """A place as it stands in the database, as Gradio takes it."""
        return shown(write_view.reopened(house, place), self._parts)

    def reopen_at(self, event: Callable[..., Any]) -> Any:
        """At an event: show the place again, as it stands in the database."""
        return self.on_each(event, write_view.reopened, self._parts.place, self._parts.memory)

    def watch_at(self, event: Callable[..., Any]) -> None:
        """At an event: follow what is being written, and settle when it has ended."""
        parts = self._parts
        outputs = [getattr(parts, name) for name in _FOLLOWED]
        followed = event(self._following(), parts.place, outputs, **STREAM)
        self.on(followed.then, write_view.settle, parts.place, parts.memory, parts.own_plan)

    def begin_at(self, event: Callable[..., Any], handler: Handler, *inputs: Any) -> None:
        """At an event: call a handler that starts a paragraph, and follow that."""
        begun = self.on(event, handler, self._parts.place, *inputs)
        self.watch_at(begun.then(None, js=write_tab.TO_DRAFT, **QUIET).then)

    def arrival(self) -> Callable[..., dict[Any, Any]]:
        """What a page does when it is opened."""

        def arrive(request: gr.Request) -> dict[Any, Any]:
            query = {name: str(value) for name, value in dict(request.query_params).items()}
            return self._answers.told(lambda house: self._arrived(house, query), request, Place())

        return arrive

    def _arrived(self, house: House, query: Mapping[str, str]) -> dict[Any, Any]:
        # In one event with the rest: Gradio's page loses a click that falls between two of a chain.
        listed = changes(library_view.listed(house, Place(), ""), self._parts.stories[1])
        return {**shown(write_view.arrive(house, query), self._parts), **listed}

    def _following(self) -> Callable[..., AsyncIterator[dict[Any, Any]]]:
        async def follow(request: gr.Request, place: Place) -> AsyncIterator[dict[Any, Any]]:
            began = monotonic()
            # Gradio empties the outputs of a generator that yields nothing.
            yield shown(View(), self._parts)
            try:
                async for view in heard(write_view.follow(self._houses(request.username), place), request):
                    yield self._answers.fitting(shown(view, self._parts), request, place, began)
            except StoryloomError as error:  # as where the story is deleted meanwhile
                yield {self._parts.notice: write_html.notice(str(error))}

        return follow


_PLAIN = (
    "place", "address", "attached", "masthead", "text", "draft", "status", "gauge", "notice", "cut_off",
    "own_plan", "memory", "memory_note", "memory_change", "about",
)  # fmt: skip


def shown(view: View, parts: Parts) -> dict[Any, Any]:
    """What a view changes, as Gradio takes it."""
    told: dict[Any, Any] = {
        getattr(parts, name): getattr(view, name) for name in _PLAIN if getattr(view, name) is not None
    }
    if view.is_open is not None:
        told[parts.library] = gr.update(visible=not view.is_open)
        told[parts.tabs] = gr.update(visible=view.is_open, **({"selected": view.tab} if view.tab else {}))
    if view.paragraph is not None:
        told.update(changes(view.paragraph, parts.paragraph))
    if view.edits is not None:
        told.update(changes(view.edits, parts.edits))
    if view.busy is not None:
        told.update(_busy(view.busy, parts))
    if view.has_earlier is not None:
        told[parts.earlier] = gr.update(visible=view.has_earlier)
    if view.cut_off is not None:
        told[parts.interrupted] = gr.update(visible=bool(view.cut_off))
    told.update(plans_panel.shown(parts.plans, view.plans, view.busy))
    if view.drafts is not None:
        told.update(changes(view.drafts, parts.drafts))
    if view.strands is not None:
        open_strand = view.place.strand_id if view.place else None
        listed = gr.update(choices=list(view.strands), value=open_strand or None)
        told[parts.strands] = {**told.get(parts.strands, {}), **listed}  # whether it can be used stays
    return told or {parts.notice: gr.skip()}


def _busy(busy: bool, parts: Parts) -> dict[Any, Any]:
    """While a paragraph comes, it can be stopped and read; what would leave it waits."""
    still = gr.update(interactive=not busy)
    return {
        parts.write: gr.update(visible=not busy),
        parts.stop: gr.update(visible=busy),
        parts.strands: still,
        **dict.fromkeys((*paragraph_panel.changing(parts.paragraph), parts.rewriting.start), still),
    }


def page(houses: Houses) -> gr.Blocks:
    """The whole page, ready to be served."""
    parts = build()
    connect(parts, houses)
    with parts.page:
        api.connect(houses)
    return parts.page
