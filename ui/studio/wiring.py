"""How a tab's handlers, which know no component, are called by its components' events and shown in them.

A handler takes the house it works for, the page's place and the values of its inputs, and returns a frozen
dataclass: each of its fields has the name of a component in the tab's ``Parts`` (or ``place``, ``notice``,
``status``, ``strands``, ``tab``), and what is ``None`` there stays as it is on the page. A field of ``Parts``
may be a tuple of components, such as those of a form; the view then has a tuple of their values.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, fields
from time import monotonic
from typing import Any

import gradio as gr

from storyloom.memory.errors import StoryloomError
from storyloom.ui.studio.languages import language_of, speaking
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.rest import NO_MARKS
from storyloom.ui.studio.showing import Asking, Choices, Enabled, Labelled, Ticking, Unfolded, Visible
from storyloom.ui.studio.whereabouts import Whereabouts
from storyloom.ui.studio.write_html import notice

# Who asks decides whose stories are shown.
Houses = Callable[[str | None], House]

# Nothing is dimmed or covered while a handler runs, and no handler is an endpoint for scripts.
# Each is answered at once, outside Gradio's queue: its page closes the queue's one stream when nothing is
# awaited, and an event that is begun in that moment never hears its answer.
QUIET: dict[str, Any] = {
    **NO_MARKS,
    "api_visibility": "private",
    "concurrency_limit": None,
    "queue": False,
}
# What answers again and again needs the queue.
STREAM: dict[str, Any] = {**QUIET, "queue": True}
# What may be done twice is done at each click: a click that Gradio's page lost can be made again.
EACH: dict[str, Any] = {"trigger_mode": "multiple"}
# For ``gr.HTML(js_on_load=PICK)``: a click on what has ``data-pick`` tells all its data-… to ``on_pick``.
PICK = """element.addEventListener('click', event => {
  const mark = event.target.closest('[data-pick]');
  if (mark && element.contains(mark)) trigger('click', {...mark.dataset});
});"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all tabs share.

    Attributes:
        place: where the page is.
        notice: what a person should be told.
        tabs: the story's tabs; the value is the open one's id.
        status: what is or was done, in the bar below the text.
        strands: the Write tab's list of the story's strands.
    """

    place: gr.State
    notice: gr.HTML
    tabs: gr.Tabs
    status: gr.HTML
    strands: gr.Dropdown


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The Write tab, for handlers that change the text.

    Attributes:
        outputs: its components.
        shown: what they show of a place, as Gradio takes it; what was told of a change stays.
    """

    outputs: list[Any]
    shown: Callable[[House, Place], dict[Any, Any]]


class Answers:
    """Makes what handlers say into what changes on the page of whoever asked.

    Args:
        houses: gives the house of whoever asks.
        whereabouts: of all pages.
        place: the component of the page's place.
        notice: that of what a person should be told.
    """

    def __init__(self, houses: Houses, whereabouts: Whereabouts, place: Any, notice: Any) -> None:
        self._houses = houses
        self._whereabouts = whereabouts
        self._place = place
        self._notice = notice

    def told(
        self, change: Callable[[House], dict[Any, Any]], request: gr.Request, place: Place
    ) -> dict[Any, Any]:
        """What changes on the page; a problem is told there in a paragraph."""
        began = monotonic()
        with speaking(language_of(request.headers)):
            try:
                return self.fitting(change(self._houses(request.username)), request, place, began)
            except StoryloomError as error:
                return {self._notice: notice(str(error))}

    def fitting(
        self, changed: dict[Any, Any], request: gr.Request, place: Place, began: float
    ) -> dict[Any, Any]:
        """What changes on a page that asked at a place; nothing where it has left that strand since."""
        if self._whereabouts.fits(request.session_hash, place, changed.get(self._place), began=began):
            return changed
        return {self._notice: gr.skip()}


class Wiring:
    """Connects the components of the tabs with handlers.

    Args:
        houses: gives the house of whoever asks.
        frame: what all tabs share.
        reopen: at an event, shows the text of the place again: after its strand or its text has changed.
        watch: at an event, follows what is being written at the place until it has ended.
        text: shows the text together with what changed it.
        whereabouts: of all pages.
    """

    def __init__(
        self,
        houses: Houses,
        frame: Frame,
        reopen: Callable[[Callable[..., Any]], Any],
        watch: Callable[[Callable[..., Any]], Any],
        text: Text,
        whereabouts: Whereabouts,
    ) -> None:
        self.reopen = reopen
        self.watch = watch
        self._houses = houses
        self._frame = frame
        self._text = text
        self._answers = Answers(houses, whereabouts, frame.place, frame.notice)

    def on(
        self,
        event: Callable[..., Any],
        handler: Callable[..., Any],
        parts: Any,
        *inputs: Any,
        **settings: Any,
    ) -> Any:
        """Call ``handler(house, place, *inputs' values)`` at every event and show the view it returns.

        Returns:
            Gradio's event, whose ``then`` can go on.
        """

        def handle(request: gr.Request, place: Place, *values: Any) -> dict[Any, Any]:
            return self._answers.told(
                lambda house: self._shown(handler(house, place, *values), parts), request, place
            )

        return event(
            handle, [self._frame.place, *inputs], self._outputs(parts), **{**QUIET, **EACH, **settings}
        )

    def on_change(
        self, event: Callable[..., Any], handler: Callable[..., Any], parts: Any, *inputs: Any
    ) -> Any:
        """As ``on``, for a handler after which another text stands at the place: it is shown at once.

        A click that falls between two events of a chain would be told of the place as it was.
        """

        def change(house: House, place: Place, *values: Any) -> dict[Any, Any]:
            view = handler(house, place, *values)
            return {
                **self._shown(view, parts),
                **self._text.shown(house, getattr(view, "place", None) or place),
            }

        def handle(request: gr.Request, place: Place, *values: Any) -> dict[Any, Any]:
            return self._answers.told(lambda house: change(house, place, *values), request, place)

        outputs = list(dict.fromkeys((*self._outputs(parts), *self._text.outputs)))
        return event(handle, [self._frame.place, *inputs], outputs, **QUIET, **EACH)

    def on_pick(
        self, event: Callable[..., Any], handler: Callable[..., Any], parts: Any, *inputs: Any
    ) -> Any:
        """Call ``handler(house, place, picked, *inputs' values)`` at a click on a marked element.

        ``picked`` are the element's data-… attributes, by their names in JavaScript.
        """

        def handle(
            request: gr.Request, event_data: gr.EventData, place: Place, *values: Any
        ) -> dict[Any, Any]:
            picked: Mapping[str, str] = {name: str(value) for name, value in (event_data._data or {}).items()}
            return self._answers.told(
                lambda house: self._shown(handler(house, place, picked, *values), parts), request, place
            )

        return event(handle, [self._frame.place, *inputs], self._outputs(parts), **QUIET, **EACH)

    def on_stream(
        self, event: Callable[..., Any], handler: Callable[..., Any], parts: Any, *inputs: Any
    ) -> Any:
        """At an event: show each view that the asynchronous generator ``handler`` yields; else as ``on``."""

        async def handle(request: gr.Request, place: Place, *values: Any) -> AsyncIterator[dict[Any, Any]]:
            began = monotonic()
            # Gradio empties the outputs of a generator that yields nothing.
            yield {self._frame.notice: gr.skip()}
            try:
                async for view in heard(handler(self._houses(request.username), place, *values), request):
                    yield self._answers.fitting(self._shown(view, parts), request, place, began)
            except StoryloomError as error:
                yield {self._frame.notice: notice(str(error))}

        return event(handle, [self._frame.place, *inputs], self._outputs(parts), **STREAM)

    def _outputs(self, parts: Any) -> list[Any]:
        frame = self._frame
        own = [each for field in fields(parts) for each in _each(getattr(parts, field.name))]
        return [*own, frame.place, frame.notice, frame.tabs, frame.status, frame.strands]

    def _shown(self, view: Any, parts: Any) -> dict[Any, Any]:
        changed = {
            field.name: value for field in fields(view) if (value := getattr(view, field.name)) is not None
        }
        frame = self._frame
        shown: dict[Any, Any] = {}
        if (tab := changed.pop("tab", None)) is not None:
            shown[frame.tabs] = gr.update(selected=tab)
        for name in ("place", "notice", "status", "strands"):
            if name in changed and not hasattr(parts, name):  # a tab may have one of its own
                shown[getattr(frame, name)] = _update(changed.pop(name))
        for name, value in changed.items():
            part = getattr(parts, name)
            values = value if isinstance(part, tuple) else (value,)
            shown.update(zip(_each(part), map(_update, values), strict=True))
        return shown or {frame.notice: gr.skip()}


async def heard(views: AsyncIterator[Any], request: gr.Request) -> AsyncIterator[Any]:
    """The views of a stream, each made in the language of whoever asks.

    Who asks for the next one may be another task, which speaks no language: so each is asked for by itself.
    """
    spoken = language_of(request.headers)
    while True:
        with speaking(spoken):
            try:
                view = await anext(views)
            except StopAsyncIteration:
                return
        yield view


def _each(part: Any) -> tuple[Any, ...]:
    """A component, or several of a kind: their values in a view are as many."""
    return part if isinstance(part, tuple) else (part,)


def changes(view: Any, parts: Any) -> dict[Any, Any]:
    """What a view changes of its own parts, as Gradio takes it; what all share it leaves alone."""
    names = {field.name for field in fields(parts)} & {field.name for field in fields(view)}
    told = {name: getattr(view, name) for name in sorted(names)}
    return {getattr(parts, name): _update(value) for name, value in told.items() if value is not None}


def _update(value: Any) -> Any:
    """A handler's word of a component as Gradio takes it."""
    match value:
        case Visible(shown):
            said: dict[str, Any] = {"visible": shown}
        case Enabled(usable):
            said = {"interactive": usable}
        case Ticking(active):
            said = {"active": active}
        case Unfolded(is_open):
            said = {"open": is_open}
        case Choices(options, chosen):
            said = {"choices": list(options), "value": chosen}
        case Labelled(inner, label, shown):
            said = {"value": inner, "label": label, "visible": shown}
        case Asking(question):
            said = {"label": question, "placeholder": question}
        case _:
            return value
    return gr.update(**said)
