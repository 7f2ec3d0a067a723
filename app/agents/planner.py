"""The planner: title and outline of a story, and three plans for each next step. Knows no storage."""

import re
from dataclasses import dataclass, replace

from storyloom.app.agents.calls import Answer, ask
from storyloom.app.agents.plan_drawing import PlanDrawer, Situation, first_sentence
from storyloom.app.agents.scene import Scene
from storyloom.app.events import Listener
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.memory.errors import ModelFailed
from storyloom.memory.form import cut_at_break, is_finished
from storyloom.memory.generation import Request
from storyloom.memory.names import cast, names
from storyloom.memory.outline import given_title
from storyloom.memory.ports import TextModel
from storyloom.memory.story import Call, Mode, Plan
from storyloom.memory.text import clean, count_words, joined, sentences, words

OUTLINE_LINES = 4  # where nobody asks for another number
_PLANS = 3
_DRAWS = 9  # for the three plans together
_TITLE_DRAWS, _TITLE_TOKENS, _TITLE_WORDS = 4, 24, 8
_NAME_DRAWS, _NAME_TOKENS = 4, 12
_LINE_DRAWS = 4
_LINES_SHOWN = 12  # of an outline, to go on from
_LIST_DRAWS, _LINE_TOKENS = 2, 62
_LINE_WORDS = range(4, 41)
_MEMORY_WORDS = 50  # of the newest notes, enough to go on from
_LAST_WORDS = 60  # of the last paragraph's end
_PREMISE_WORDS = 80
_PEOPLE = 3
_SEEDS_A_LINE = 101  # far enough apart that no two lines draw from the same seed
_TITLE_MARKS = "0123456789.,;:!-–—*#•\"“”«»„' \t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A title and an outline of a few lines, and the calls that made them."""

    title: str
    outline: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Three plans, pairwise distinct, and the calls that made them."""

    plans: tuple[Plan, ...]
    calls: tuple[Call, ...]


class Planner:
    """Plans with one model."""

    def __init__(self, model: TextModel, profile: Profile, templates: Templates) -> None:
        self._model = model
        self._profile = profile
        self._templates = templates
        self._drawer = PlanDrawer(model, profile, templates)

    def begin(
        self,
        *,
        premise: str,
        mode: Mode,
        language: str,
        style: str,
        seed: int,
        title: str = "",
        outline: str = "",
        lines: int = OUTLINE_LINES,
    ) -> Beginning:
        """Find a title and an outline where they aren't given; either may be poor, but none is canned.

        The outline may be empty, or have fewer than ``lines`` lines. The title falls back to the premise's
        own first words; the last call's verdict says so then.
        """
        about = _About(_head(premise, _PREMISE_WORDS), mode, language, style)
        calls: list[Call] = []
        if not outline:
            find = self._listed if self._profile.one_call else self._drawn
            outline, outlining = find(about, seed, lines)
            calls += outlining
        if not title:
            title, titling = self._title(about, seed)
            calls += titling
        return Beginning(title=title, outline=outline, calls=tuple(calls))

    def offer(self, scene: Scene, listener: Listener | None = None) -> Offer:
        """Three plans for what follows the scene's last paragraph.

        Plans that can't be drawn are made of refused draws, then of those that the step before
        offered and nobody chose, of the outline, and of plans of before.

        Args:
            scene: where the story stands.
            listener: may stop it, where no paragraph would be lost with it.

        Raises:
            Cancelled: the listener asked to stop.
            ModelFailed: the model brought no usable sentence, and no earlier plan could be carried.
        """
        gathering = self._drawer.gather(
            self._situation(scene),
            count=_PLANS,
            draws=_DRAWS,
            seed=scene.seed,
            recent=scene.recent_plans,
            listener=listener,
        )
        gathering.fill(_PLANS, _spare(scene))
        if len(gathering.plans) < _PLANS:
            raise ModelFailed(
                f"The model {self._model.name} brought no three plans for step {scene.depth} in "
                f"{_DRAWS} tries. Give a plan of your own, or use a stronger model."
            )
        return Offer(plans=tuple(gathering.plans), calls=tuple(gathering.calls))

    def chapter_title(self, scene: Scene) -> tuple[str, tuple[Call, ...]]:
        """A title for the scene's chapter: the one that the outline gives it, else one of the model's."""
        if title := given_title(scene.chapter):
            return title, ()
        story = scene.story
        about = _About(_head(scene.chapter, _PREMISE_WORDS), story.mode, story.language, story.style)
        title, calls = self._title(about, scene.seed)
        return title, tuple(calls)

    def _situation(self, scene: Scene) -> Situation:
        story = scene.story
        return Situation(
            premise=_head(story.premise, _PREMISE_WORDS),
            memory=_newest(scene, _MEMORY_WORDS),
            last=_tail(scene.last, _LAST_WORDS, story.language),
            told=joined([story.premise, scene.memory.text, scene.last]),
            people=cast(
                [scene.last, scene.memory.text, story.premise, story.outline], story.language, limit=_PEOPLE
            ),
            mode=story.mode,
            language=story.language,
            chapter=scene.chapter if self._profile.reads_outline else "",
        )

    def _title(self, about: "_About", seed: int) -> tuple[str, list[Call]]:
        calls: list[Call] = []
        for draw in range(_TITLE_DRAWS):
            answer = self._ask("planner_title", about, _TITLE_TOKENS, seed + draw)
            line = clean(answer.text).strip().partition("\n")[0]
            title = _titled(line)
            if title and title not in answer.call.prompt.replace(about.premise, ""):  # no example
                calls.append(answer.judged("kept" if title == line.strip() else "kept, shortened"))
                return title, calls
            calls.append(answer.judged("no title"))
        calls[-1] = replace(calls[-1], verdict="no title; the premise's first words stand in")
        return _head(about.premise, _TITLE_WORDS // 2).strip(_TITLE_MARKS), calls

    def _drawn(self, about: "_About", seed: int, count: int) -> tuple[str, list[Call]]:
        """The outline of a small model: a plan after the other, each going on from those before."""
        lines: list[str] = []
        calls: list[Call] = []
        people = cast([about.premise], about.language, limit=_PEOPLE)
        if not people and about.mode is Mode.NOVEL:
            people, calls = self._named(about, seed)
        for line in range(count):
            situation = Situation(
                premise=about.premise,
                memory="",
                last=" ".join(lines[-_LINES_SHOWN:]),
                told=joined([about.premise, *lines]),
                people=people,
                mode=about.mode,
                language=about.language,
            )
            gathering = self._drawer.gather(
                situation, count=1, draws=_LINE_DRAWS, seed=seed + line * _SEEDS_A_LINE, recent=lines
            )
            gathering.fill(1)
            calls.extend(gathering.calls)
            lines.extend(plan.text for plan in gathering.plans)
        return "\n".join(lines), calls

    def _named(self, about: "_About", seed: int) -> tuple[list[str], list[Call]]:
        """A name for whom a nameless premise is about: a small model's people are nobody without one."""
        calls: list[Call] = []
        for draw in range(_NAME_DRAWS):
            answer = self._ask("planner_name", about, _NAME_TOKENS, seed + draw)
            name = _first_name(clean(answer.text), about)
            calls.append(answer.judged("kept" if name else "no name"))
            if name:
                return [name], calls
        return [], calls

    def _listed(self, about: "_About", seed: int, count: int) -> tuple[str, list[Call]]:
        """The outline of a model that can write a list: its lines, from one answer."""
        lines: list[str] = []
        calls: list[Call] = []
        for draw in range(_LIST_DRAWS):
            answer = self._ask("planner_outline", about, _LINE_TOKENS * count, seed + draw, lines=count)
            found = _outline_lines(answer.text, about)
            calls.append(answer.judged(f"{len(found)} lines"))
            lines = max(lines, found, key=len)
            if len(lines) >= count - 1:
                break
        return "\n".join(lines[: count + 1]), calls

    def _ask(self, template: str, about: "_About", max_tokens: int, seed: int, **values: int) -> Answer:
        can_prefill = "prefill" in self._model.features
        request = Request(
            prompt=self._templates.messages(template, **about.values(), **values, prefill=can_prefill),
            max_tokens=max_tokens,
            seed=seed,
            sampling=self._profile.planning,
        )
        return ask(self._model, request, agent="planner")


@dataclass(frozen=True, slots=True)
class _About:
    """What a beginning is made of."""

    premise: str
    mode: Mode
    language: str
    style: str

    def values(self) -> dict[str, str]:
        return {
            "premise": self.premise,
            "mode": self.mode.value,
            "language": self.language,
            "style": self.style,
        }


def _spare(scene: Scene) -> list[str]:
    """What may stand in for a plan: those that weren't chosen, the outline, plans of before."""
    chosen = set(scene.recent_plans)
    unchosen = [plan.text for plan in scene.offered if plan.text not in chosen]
    return [*unchosen, *scene.story.outline.splitlines(), *reversed(scene.recent_plans)]


def _titled(line: str) -> str:
    """The line as a title, cut at its first mark when it is too long; empty when it can't be one."""
    title = line.strip(_TITLE_MARKS)
    for mark in (":", " - ", " – ", ","):
        if count_words(title) > _TITLE_WORDS:
            title = title.partition(mark)[0].strip(_TITLE_MARKS)
    return title if 1 <= count_words(title) <= _TITLE_WORDS else ""


def _first_name(answer: str, about: _About) -> str:
    """The first word of a name that stands alone, titles and words of the premise left out; else empty."""
    lead = re.split(r"[^\w\s'’-]|\n", answer.strip(), maxsplit=1)[0]
    if not all(word[0].isupper() for word in lead.split()):
        return ""
    told = set(words(about.premise))
    # In the middle of a sentence a capital is evidence of a name.
    found = names(f"and {lead}", about.language)
    return next((word for word in found if word.lower() not in told), "")


def _outline_lines(text: str, about: _About) -> list[str]:
    """The whole sentences among an answer's lines, each once."""
    found: dict[tuple[str, ...], str] = {}
    for line in clean(text).splitlines():
        sentence = first_sentence(line, about.language)
        fits = is_finished(sentence) and count_words(sentence) in _LINE_WORDS
        if fits and cut_at_break(sentence, about.language) == sentence:
            found.setdefault(tuple(words(sentence)), sentence)
    return list(found.values())


def _head(text: str, count: int) -> str:
    return " ".join(text.split()[:count])


def _tail(text: str, count: int, language: str) -> str:
    """The last whole sentences of at most ``count`` words together, one at least."""
    kept: list[str] = []
    for sentence in reversed(sentences(text, language)):
        if kept and count_words(" ".join([sentence, *kept])) > count:
            break
        kept.insert(0, sentence)
    return _head(" ".join(kept), 2 * count)


def _newest(scene: Scene, count: int) -> str:
    """The newest notes of at most ``count`` words together, the premise excepted."""
    kept: list[str] = []
    for note in reversed(scene.memory.notes):
        if note.depth == 0 or count_words(" ".join([note.text, *kept])) > count:
            break
        kept.insert(0, note.text)
    return " ".join(kept)
