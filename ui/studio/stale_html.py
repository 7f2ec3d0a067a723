"""What edits have made stale, in sentences."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from storyloom.app.embedding import PASSAGES
from storyloom.app.neural_memory import READING
from storyloom.app.rebuilding import Rebuilt
from storyloom.memory.neural import NeuralState
from storyloom.memory.story import Stale, StalePart
from storyloom.ui.studio.below import because
from storyloom.ui.studio.languages import count, gettext, gettext_noop, listed, ngettext
from storyloom.ui.studio.write_html import status

_MADE: Mapping[str, Callable[[int], str]] = {
    "notes": lambda number: ngettext("{number} note", "{number} notes", number),
    "pages": lambda number: ngettext("{number} page of memory", "{number} pages of memory", number),
    "vectors": lambda number: ngettext("{number} vector", "{number} vectors", number),
    "states": lambda number: ngettext(
        "{number} state of the model's own memory", "{number} states of the model's own memory", number
    ),
}
# How far a making is, by what the room below calls the things that it makes.
_MAKING = {
    "pages of memory": gettext_noop("Making it again… {done} of {total} pages of memory."),
    PASSAGES: gettext_noop("Making it again… {done} of {total} passages to embed."),
    READING: gettext_noop("Making it again… {done} of {total} paragraphs for the model's memory."),
}
_MAKING_OTHERS = gettext_noop("Making it again… {done} of {total} {things}.")


def stale(marks: Sequence[Stale], states: Sequence[NeuralState]) -> str:
    """Everything that is stale on a strand."""
    told = [*sentences(marks), *_of_states(states)]
    if not told:
        nothing = gettext("Nothing is stale: all of it was made from the story as it stands.")
        return f'<p class="quiet">{nothing}</p>'
    return f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in told)}</ul>"


def edited(done: str, marks: Sequence[Stale], elsewhere: int, revisions: Sequence[str]) -> str:
    """What an edit did and what it makes stale, with a button that takes it back.

    Args:
        done: what it did, a sentence.
        marks: what became stale on the strand that the page shows.
        elsewhere: how many parts became stale on other strands.
        revisions: the ids of what it replaced, newest first.
    """
    told = [done, *sentences(marks)]
    if elsewhere:
        told.append(
            ngettext(
                "On other strands {number} part became stale.",
                "On other strands {number} parts became stale.",
                elsewhere,
            )
        )
    if not marks and not elsewhere:
        told.append(gettext("Nothing that is written becomes stale by it."))
    ids = escape(" ".join(revisions))
    undo = f' <button type="button" data-pick="undo" data-revisions="{ids}">{gettext("Undo")}</button>'
    back = undo if ids else ""
    return f'<p role="status">{escape(" ".join(told))}{back}</p>'


def rebuilding(what: str, done: int, total: int) -> str:
    """How far the making is."""
    if not total:
        return status(gettext("Making it again…"))
    message = _MAKING.get(what, _MAKING_OTHERS)
    return status(gettext(message, done=count(done), total=count(total), things=what))


def rebuilt(made: Rebuilt) -> str:
    """What was made again."""
    parts = [counted(number) for name, counted in _MADE.items() if (number := getattr(made, name))]
    nothing = gettext("Nothing had to be made again.")
    done = gettext("Made again: {things}.", things=listed(parts)) if parts else nothing
    if not made.kept:
        return status(done)
    stand = ngettext(
        "{number} page written by hand stands as it is.",
        "{number} pages written by hand stand as they are.",
        made.kept,
    )
    return status(f"{done} {stand}")


def sentences(marks: Iterable[Stale]) -> list[str]:
    """A sentence for each cause and kind of part, in the order of the first paragraph it concerns."""
    groups: defaultdict[tuple[str, StalePart], set[int]] = defaultdict(set)
    for mark in marks:
        groups[mark.cause, mark.part].add(mark.depth)
    return [
        _SENTENCES[part](len(depths), runs(sorted(depths)), because(cause))
        for (cause, part), depths in sorted(groups.items(), key=lambda group: min(group[1]))
    ]


def _of_states(states: Sequence[NeuralState]) -> list[str]:
    if not states:
        return []
    depths = sorted({state.depth for state in states})
    return [
        ngettext(
            "What {model} keeps in its own memory after paragraph {paragraphs} is stale, because it read a "
            "paragraph that was edited since.",
            "What {model} keeps in its own memory after paragraphs {paragraphs} is stale, because it read a "
            "paragraph that was edited since.",
            len(depths),
            model=states[0].model,
            paragraphs=runs(depths),
        )
    ]


def runs(depths: Sequence[int]) -> str:
    """Numbers as a person would list them: 2, 4 to 9 and 12."""
    found: list[list[int]] = []
    for depth in depths:
        if found and depth == found[-1][1] + 1:
            found[-1][1] = depth
        else:
            found.append([depth, depth])
    return listed([_run(first, last) for first, last in found])


def _run(first: int, last: int) -> str:
    return str(first) if first == last else gettext("{first} to {last}", first=first, last=last)


def _stale_notes(number: int, paragraphs: str, because: str) -> str:
    return ngettext(
        "What was noted of paragraph {paragraphs} is stale, {because}.",
        "What was noted of paragraphs {paragraphs} is stale, {because}.",
        number,
        paragraphs=paragraphs,
        because=because,
    )


def _stale_pages(number: int, paragraphs: str, because: str) -> str:
    return ngettext(
        "The memory after paragraph {paragraphs} is stale, {because}.",
        "The memory after paragraphs {paragraphs} is stale, {because}.",
        number,
        paragraphs=paragraphs,
        because=because,
    )


def _stale_paragraphs(number: int, paragraphs: str, because: str) -> str:
    return ngettext(
        "Paragraph {paragraphs} is stale, {because}.",
        "Paragraphs {paragraphs} are stale, {because}.",
        number,
        paragraphs=paragraphs,
        because=because,
    )


_SENTENCES: Mapping[StalePart, Callable[[int, str, str], str]] = {
    StalePart.NOTE: _stale_notes,
    StalePart.PAGE: _stale_pages,
    StalePart.PARAGRAPH: _stale_paragraphs,
}
