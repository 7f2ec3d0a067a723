"""What scripts may ask of the server, by name: a contract, told in ``docs/api.md``.

Texts and whole numbers go in, JSON comes out in the command line's shapes. An empty text or a 0 stands for
what wasn't given. A problem comes back as a sentence.
"""

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import api as named

from storyloom.app.beginning import Beginning
from storyloom.app.recurrence import Wish
from storyloom.memory.action import Manner, action
from storyloom.memory.errors import InvalidText, StoryloomError
from storyloom.memory.story import Mode
from storyloom.ui import shapes
from storyloom.ui.shapes import Json
from storyloom.ui.story_files import MEDIA, story_file
from storyloom.ui.studio import following
from storyloom.ui.studio.place import WINDOW, House
from storyloom.ui.studio.wiring import Houses
from storyloom.ui.studio.writing import Writing

# What a database's integer holds, and more than any story has paragraphs.
_LARGEST = 2**31 - 1
_KINDS = {str: "a text", int: "a whole number"}


def stories(house: House) -> Json:
    """Every story, the last touched first."""
    return shapes.summaries(house.studio.stories())


async def begin(house: House, premise: str, title: str = "", mode: str = "novel", language: str = "") -> Json:
    """Start a story and write its first paragraph; the answer comes when that is kept.

    Args:
        house: whose stories these are.
        premise: what it is about.
        title: empty: one is found.
        mode: novel, document or fiction.
        language: such as en or pt-BR; empty: the server's own.

    Returns:
        The story, its strand, and the paragraph in ``steps``.
    """
    kind = _one_of(Mode, mode, "mode")
    beginning = Beginning(premise=premise, title=title, mode=kind, language=language)
    return await _committed(house, await asyncio.to_thread(house.writers.begin, house.studio, beginning))


async def write(house: House, story: str, plan: str = "", choice: int = 0, strand: str = "") -> Json:
    """Write the next paragraph; the answer comes when it is kept. It is written even if nobody waits.

    Args:
        house: whose stories these are.
        story: an id, the beginning of one, or a title.
        plan: what shall happen in it.
        choice: 1, 2 or 3: one of the plans on offer, in the plan's place. With neither, one is chosen.
        strand: the strand's id or name; empty: the first one.

    Returns:
        The story, its strand, and the paragraph in ``steps``.

    Raises:
        InvalidText: both a plan and a choice are given, or what is given can't be used.
        StoryNotFound, StrandNotFound: there is no such story or strand.
    """
    if plan.strip() and choice:
        raise InvalidText("Give a plan or choose one, not both.")
    wish = Wish(plan=plan) if plan.strip() else Wish(choice=choice or None)
    return await _committed(house, await asyncio.to_thread(_go_on, house, story, strand, wish))


async def act(house: House, story: str, text: str, manner: str = "do", strand: str = "") -> Json:
    """Do or say something in a story that is played; the answer is what comes of it.

    Args:
        house: whose stories these are.
        story: an id, the beginning of one, or a title.
        text: what you do or say, or what shall happen.
        manner: do, say or story.
        strand: the strand's id or name; empty: the first one.

    Returns:
        The story, its strand, and the paragraph in ``steps``.

    Raises:
        InvalidText: nothing is done, or the manner is none of these.
        StoryNotFound, StrandNotFound: there is no such story or strand.
    """
    meant = _one_of(Manner, manner, "manner")
    found = await asyncio.to_thread(house.studio.show, story, strand or None, last=0)
    plan = action(text, meant, found.story.language)
    if not plan:
        raise InvalidText("The text is empty. Write what you do or say.")
    writing = house.writers.go_on(house.studio, found.story.id, found.strand.id, Wish(plan=plan))
    return await _committed(house, writing)


def read(house: House, story: str, strand: str = "", last: int = WINDOW, before: int = 0) -> Json:
    """Paragraphs of a strand, oldest first, each with its plans and the memory after it.

    Args:
        house: whose stories these are.
        story: an id, the beginning of one, or a title.
        strand: the strand's id or name; empty: the first one.
        last: how many, counted from the end.
        before: only paragraphs before this number; 0: from the story's end.

    Returns:
        The story, its strand, and the paragraphs in ``steps``.

    Raises:
        InvalidText: a number is negative.
        StoryNotFound, StrandNotFound: there is no such story or strand.
    """
    if last < 0 or before < 0:
        raise InvalidText("last and before are counts of paragraphs: give 0 or more.")
    found = house.studio.show(story, strand or None, last=last, before=before or None)
    states = house.studio.neural_states(found.story.id, found.strand.id)
    return shapes.written(found.story, found.strand.id, found.steps, states)


def strands(house: House, story: str) -> Json:
    """Every strand of a story, oldest first."""
    found = house.studio.branches(story)
    return {"strands": [shapes.strand(line, steps) for line, steps in found]}


def branch(house: House, story: str, at: int, strand: str = "", name: str = "") -> Json:
    """Make a new strand that keeps the paragraphs up to a number.

    Args:
        house: whose stories these are.
        story: an id, the beginning of one, or a title.
        at: the last paragraph that both strands share.
        strand: the strand that is left, by its id or name; empty: the first one.
        name: what the new one shall be called.

    Returns:
        The new strand.

    Raises:
        StoryNotFound, StrandNotFound: there is no such story, strand or paragraph.
    """
    return {"strand": shapes.strand(house.studio.branch(story, at, strand or None, name), at)}


def memory(house: House, story: str, strand: str = "") -> Json:
    """The short-term memory that the next paragraph will be written with."""
    return shapes.memory(
        house.studio.remembering.page(story, strand or None), house.studio.editing.revisions(story)
    )


def set_memory(house: House, story: str, text: str, strand: str = "") -> Json:
    """Replace the short-term memory; the old one is kept among the revisions."""
    page = house.studio.remembering.rewrite(story, text, strand or None)
    return shapes.memory(page, house.studio.editing.revisions(story))


def search(house: House, story: str, query: str, strand: str = "") -> Json:
    """Search all that the story remembers, the best answer first, with its score."""
    return shapes.hits(house.studio.remembering.search(story, query, strand or None))


def export(house: House, story: str, form: str = "md", strand: str = "") -> str:
    """The story as a file's text.

    Args:
        house: whose stories these are.
        story: an id, the beginning of one, or a title.
        form: md, txt or json; json holds every strand and can be imported again.
        strand: the strand's id or name; empty: the first one.

    Returns:
        What stands in the file.

    Raises:
        InvalidText: the form is none of these.
        StoryNotFound, StrandNotFound: there is no such story or strand.
    """
    if form not in MEDIA:
        raise InvalidText(f"A story comes as one of these forms: {', '.join(MEDIA)}.")
    return story_file(house.studio, story, form, strand or None).decode()


ENDPOINTS: tuple[Callable[..., Any], ...] = (
    stories,
    begin,
    write,
    act,
    read,
    strands,
    branch,
    memory,
    set_memory,
    search,
    export,
)


def connect(houses: Houses) -> None:
    """Name the endpoints within the page's ``gr.Blocks``; nothing else of the page can be called by name."""
    for endpoint in ENDPOINTS:
        named(called(endpoint, houses), api_name=endpoint.__name__, concurrency_limit=None)


def called(endpoint: Callable[..., Any], houses: Houses) -> Callable[..., Any]:
    """An endpoint as Gradio calls it: for whoever asks, its problems told in a sentence."""
    of_house = inspect.signature(endpoint)
    _, *given = of_house.parameters.values()
    call = endpoint if inspect.iscoroutinefunction(endpoint) else partial(asyncio.to_thread, endpoint)

    async def answer(request: gr.Request, *values: Any) -> Any:
        try:
            for parameter, value in zip(given, values, strict=True):
                _check(parameter, value)
            return await call(houses(request.username), *values)
        except StoryloomError as error:
            raise gr.Error(str(error), print_exception=False) from error

    # Gradio reads from these what a script can give, and which argument is the request.
    asking = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    answer.__doc__ = endpoint.__doc__
    vars(answer)["__signature__"] = of_house.replace(parameters=[asking, *given])
    answer.__annotations__ = {
        "request": gr.Request,
        **{parameter.name: parameter.annotation for parameter in given},
        "return": of_house.return_annotation,
    }
    return answer


def _check(parameter: inspect.Parameter, value: Any) -> None:
    """Gradio passes on whatever JSON a script sends."""
    kind = parameter.annotation
    if type(value) is not kind:
        raise InvalidText(f"{parameter.name} must be {_KINDS[kind]}.")
    if kind is int and abs(value) > _LARGEST:
        raise InvalidText(f"{parameter.name} is too large a number.")
    if kind is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidText(f"{parameter.name} has half of a character in it: send whole ones.") from error


def _one_of(kinds: type[Mode] | type[Manner], given: str, what: str) -> Any:
    known = [str(kind) for kind in kinds]
    if given not in known:
        raise InvalidText(f"The {what} must be one of these: {', '.join(known)}.")
    return kinds(given)


def _go_on(house: House, story: str, strand: str, wish: Wish) -> Writing:
    found = house.studio.show(story, strand or None, last=0)
    return house.writers.go_on(house.studio, found.story.id, found.strand.id, wish)


async def _committed(house: House, writing: Writing) -> Json:
    """Wait for a paragraph; whoever stops waiting leaves it to be written all the same."""
    await following.ended(writing)
    if writing.error is not None:
        raise gr.Error(writing.message or str(writing.error), print_exception=False)
    return await asyncio.to_thread(_told, house, writing)


def _told(house: House, writing: Writing) -> Json:
    progress = writing.progress
    found = house.studio.show(progress.story_id, progress.strand_id, last=0)
    states = house.studio.neural_states(found.story.id, found.strand.id)
    return shapes.written(found.story, found.strand.id, writing.steps, states)
