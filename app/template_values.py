"""What templates are rendered with where nothing is written by them: a story's own values, or a sample's.

Knows no storage. Each template gets the values that its agent gives it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from storyloom.app.agents.calls import readable
from storyloom.app.prompt_pieces import Piece, marked, split
from storyloom.app.templates import Templates
from storyloom.app.weaving import render
from storyloom.memory.generation import Message, Role
from storyloom.memory.story import Mode
from storyloom.memory.text import joined
from storyloom.memory.weaver_strategies import BUDGETED

WRITERS: Final = ("writer", "one_call")
LISTS: Final = ("planner_actions", "planner_openers")  # lines to begin with, no turns of a chat
_WORDS, _MEMORY_WORDS, _LINES = 120, 120, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A story just before a paragraph.

    Attributes:
        texts: its texts by slot.
        plans: what was offered.
        people: who may act.
        woven: the texts that its writer is given, by slot; None: all of them.
        language: BCP 47 tag.
        mode: what kind of text it is.
        order: the slots as its weaver reads them.
        note_depth: the author's note's place in the story so far; None: its place of old.
        can_prefill: the model goes on from its own text.
    """

    texts: Mapping[str, tuple[str, ...]]
    plans: tuple[str, ...]
    people: tuple[str, ...]
    woven: Mapping[str, tuple[str, ...]] | None = None
    language: str = "en"
    mode: Mode = Mode.NOVEL
    order: tuple[str, ...] = BUDGETED.order
    note_depth: int | None = None
    can_prefill: bool = True

    def text(self, slot: str) -> str:
        """All that a slot holds."""
        return joined(self.texts.get(slot, ()))


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of a chat, in pieces; a piece's place is that of its slot in ``slots``. A list has no role."""

    role: Role | None
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A template as a model would read it.

    Attributes:
        turns: of the chat, in order.
        slots: what the pieces' places stand for.
    """

    turns: tuple[Turn, ...]
    slots: tuple[str, ...]


SAMPLE: Final = Facts(
    texts={
        "style": ("Spare and cold.",),
        "premise": ("Mara keeps a lighthouse on a cliff and finds a door in the sea.",),
        "outline": ("Mara finds a door. It knocks at night. She opens it at last.",),
        "lore_before": ("The harbour office pays by the lamp hour.",),
        "characters": ("Mara: keeper of the lamp; fears the number nine.",),
        "lore_after": ("No chart of the bay shows the rock.",),
        "before_note": ("It is winter.",),
        "authors_note": ("Let the door stay shut for now.",),
        "after_note": ("The bell is cracked.",),
        "chapter": ("The door knocks at night.",),
        "memory": ("Mara found a door under the third wave. It was warm.",),
        "lore": ("The brass lantern burns under water.",),
        "recall": ("Her grandfather never spoke of the rock.",),
        "last": (
            "The tide went out further than it had in years.",
            "Mara laid her hand on the door. Somebody knocked from below.",
        ),
        "plan": ("Mara knocks back, four times.",),
    },
    plans=(
        "Mara knocks back, four times.",
        "A supply boat brings a stranger who limps.",
        "Mara puts out the lamp and waits in the dark.",
    ),
    people=("Mara", "Tobias"),
)


def samples() -> Iterator[Facts]:
    """The sample in every mode, in two languages, with and without what a story may lack."""
    bare = {slot: SAMPLE.texts[slot] for slot in ("premise", "plan")}
    for mode, language, texts, can_prefill, depth in product(
        Mode, ("en", "de"), (SAMPLE.texts, bare), (True, False), (None, 1)
    ):
        yield replace(
            SAMPLE, mode=mode, language=language, texts=texts, can_prefill=can_prefill, note_depth=depth
        )


def turns(templates: Templates, name: str, source: str, facts: Facts) -> Rendered:
    """A template's source with a story's values, which of its words are whose told where that can be.

    Raises:
        BrokenTemplate: the source is broken.
    """
    plain = _messages(templates, name, source, facts)
    slots, marks = _marked(facts)
    found = [(message.role, split(message.content)) for message in _messages(templates, name, source, marks)]
    unmarked = tuple(Message(role, "".join(piece.text for piece in pieces)) for role, pieces in found)
    if unmarked != plain:  # it does more with a text than to place it
        found = [(message.role, (Piece(message.content),)) for message in plain]
    is_list = name in LISTS
    return Rendered(tuple(Turn(None if is_list else role, pieces) for role, pieces in found), slots)


def as_text(rendered: Rendered) -> str:
    """The turns as a person reads them."""
    return readable(
        tuple(
            Message(turn.role or "user", "".join(piece.text for piece in turn.pieces))
            for turn in rendered.turns
        )
    )


def given(name: str, facts: Facts) -> dict[str, Any]:
    """The values that a template's agent gives it, beside the slots of the writers."""
    if name in WRITERS:
        return {**_woven(name, facts), **_OWN[name](facts)}
    return _OWN[name](facts)


def _messages(templates: Templates, name: str, source: str, facts: Facts) -> tuple[Message, ...]:
    if name in LISTS:
        return (Message("user", templates.plain(name, source, given(name, facts))),)
    if name in WRITERS:
        prompt = render(
            templates, source, facts.texts if facts.woven is None else facts.woven, given(name, facts)
        )
        return prompt if isinstance(prompt, tuple) else (Message("user", prompt),)
    return templates.rendered(name, source, given(name, facts))


def _marked(facts: Facts) -> tuple[tuple[str, ...], Facts]:
    """The slots, and the facts with each text marked with the place of its slot."""
    slots = tuple(dict.fromkeys([*facts.texts, *(facts.woven or ()), "plan", "characters"]))
    places = {slot: place for place, slot in enumerate(slots)}

    def mark(slot: str, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(marked(places[slot], text) for text in texts)

    return slots, replace(
        facts,
        texts={slot: mark(slot, texts) for slot, texts in facts.texts.items()},
        woven=facts.woven and {slot: mark(slot, texts) for slot, texts in facts.woven.items()},
        plans=mark("plan", facts.plans),
        people=mark("characters", facts.people),
    )


def _woven(name: str, facts: Facts) -> dict[str, Any]:
    return {
        "agent": name,
        "language": facts.language,
        "mode": facts.mode.value,
        "note_depth": facts.note_depth,
        "order": list(facts.order),
    }


def _beginning(facts: Facts) -> dict[str, Any]:
    return {
        "premise": facts.text("premise"),
        "mode": facts.mode.value,
        "language": facts.language,
        "style": facts.text("style"),
        "prefill": facts.can_prefill,
    }


def _offer(facts: Facts) -> dict[str, Any]:
    return {
        "premise": facts.text("premise"),
        "memory": facts.text("memory"),
        "last": facts.text("last"),
        "chapter": facts.text("chapter"),
        "opening": facts.people[0] if facts.can_prefill and facts.people else "",
        "mode": facts.mode.value,
        "language": facts.language,
    }


def _keeper(facts: Facts) -> dict[str, Any]:
    passage = facts.text("last") or facts.text("premise")
    opening = facts.people[0] if facts.can_prefill and facts.people else ""
    return {"passage": passage, "opening": opening, "language": facts.language}


def _editor(facts: Facts) -> dict[str, Any]:
    texts = ("premise", "outline", "chapter", "authors_note", "style", "memory", "last")
    return {
        **{name: facts.text(name) for name in texts},
        "language": facts.language,
        "mode": facts.mode.value,
        "plans": list(facts.plans),
    }


def _rewriter(facts: Facts) -> dict[str, Any]:
    return {
        "before": facts.text("last"),
        "passage": facts.text("plan") or facts.text("premise"),
        "after": "",
        "instruction": "make it rain",
        "most_words": _WORDS,
        # Of the samples both kinds of models are asked, of a story the one that it has.
        "follows": not facts.can_prefill,
        "mode": facts.mode.value,
        **{name: facts.text(name) for name in ("premise", "style", "authors_note")},
        "language": facts.language,
    }


_OWN: Mapping[str, Callable[[Facts], dict[str, Any]]] = {
    "writer": lambda facts: {"prefill": facts.can_prefill, "opening": ""},
    "one_call": lambda _facts: {"paragraph_words": _WORDS, "memory_words": _MEMORY_WORDS},
    "memory_keeper": _keeper,
    "rewriter": _rewriter,
    "editor": _editor,
    "planner_offer": _offer,
    "planner_title": _beginning,
    "planner_name": _beginning,
    "planner_outline": lambda facts: {**_beginning(facts), "lines": _LINES},
    "planner_actions": lambda facts: {"language": facts.language},
    "planner_openers": lambda facts: {"language": facts.language, "names": list(facts.people) or ["Mara"]},
}
