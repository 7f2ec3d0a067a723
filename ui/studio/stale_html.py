"""What edits have made stale, in sentences."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape

from storyloom.app.rebuilding import Rebuilt
from storyloom.memory.neural import NeuralState
from storyloom.memory.story import Stale, StalePart
from storyloom.ui.studio.write_html import status

_SUBJECTS = {
    StalePart.NOTE: "what was noted of {} is stale",
    StalePart.PAGE: "the memory after {} is stale",
    StalePart.PARAGRAPH: "{} is stale",
}
_MADE = {
    "notes": ("note", "notes"),
    "pages": ("page of memory", "pages of memory"),
    "vectors": ("vector", "vectors"),
    "states": ("state of the model's own memory", "states of the model's own memory"),
}
NOTHING = "Nothing that is written becomes stale by it."


def stale(marks: Sequence[Stale], states: Sequence[NeuralState]) -> str:
    """Everything that is stale on a strand."""
    told = [*sentences(marks), *_of_states(states)]
    if not told:
        return '<p class="quiet">Nothing is stale: all of it was made from the story as it stands.</p>'
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
        told.append(f"On other strands {elsewhere} part{_s(elsewhere)} became stale.")
    if not marks and not elsewhere:
        told.append(NOTHING)
    ids = escape(" ".join(revisions))
    back = f' <button type="button" data-pick="undo" data-revisions="{ids}">Undo</button>' if ids else ""
    return f'<p role="status">{escape(" ".join(told))}{back}</p>'


def rebuilding(what: str, done: int, total: int) -> str:
    """How far the making is."""
    how_far = f" {done:,} of {total:,} {what}." if total else ""
    return status(f"Making it again…{how_far}")


def rebuilt(made: Rebuilt) -> str:
    """What was made again."""
    counted = {name: getattr(made, name) for name in _MADE}
    parts = [f"{many:,} {_MADE[name][many > 1]}" for name, many in counted.items() if many]
    done = f"Made again: {_listed(parts)}." if parts else "Nothing had to be made again."
    if not made.kept:
        return status(done)
    stand = (
        "page written by hand stands as it is"
        if made.kept == 1
        else "pages written by hand stand as they are"
    )
    return status(f"{done} {made.kept:,} {stand}.")


def sentences(marks: Iterable[Stale]) -> list[str]:
    """A sentence for each cause and kind of part, in the order of the first paragraph it concerns."""
    groups: defaultdict[tuple[str, StalePart], set[int]] = defaultdict(set)
    for mark in marks:
        groups[mark.cause, mark.part].add(mark.depth)
    return [
        f"{_subject(part, sorted(depths))}, because {_because(cause)}."
        for (cause, part), depths in sorted(groups.items(), key=lambda group: min(group[1]))
    ]


def _subject(part: StalePart, depths: Sequence[int]) -> str:
    """What is stale; a paragraph itself begins the sentence."""
    subject = _SUBJECTS[part].format(f"paragraph{_s(len(depths))} {_runs(depths)}")
    if part is StalePart.PARAGRAPH and len(depths) > 1:
        subject = subject.replace(" is ", " are ")
    return subject[0].upper() + subject[1:]


def _because(cause: str) -> str:
    """A mark's cause in the page's words, which know paragraphs and no steps."""
    return cause.replace("the paragraph of step", "paragraph").replace("after step", "after paragraph")


def _of_states(states: Sequence[NeuralState]) -> list[str]:
    if not states:
        return []
    depths = sorted({state.depth for state in states})
    return [
        f"What {states[0].model} keeps in its own memory after paragraph{_s(len(depths))} {_runs(depths)} "
        "is stale, because it read a paragraph that was edited since."
    ]


def _runs(depths: Sequence[int]) -> str:
    """Numbers as a person would list them: 2, 4 to 9 and 12."""
    runs: list[list[int]] = []
    for depth in depths:
        if runs and depth == runs[-1][1] + 1:
            runs[-1][1] = depth
        else:
            runs.append([depth, depth])
    return _listed([str(first) if first == last else f"{first} to {last}" for first, last in runs])


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _s(number: int) -> str:
    return "" if number == 1 else "s"
