"""The planner: title and outline of a story, and three plans for each next step. Knows no storage.

Small models can't fill a list of three, so each plan is a call of its own, begun with a few words
and held to rules; what fails is drawn again, and the best of what came stands in at last.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from storyloom.app.agents.calls import Answer, ask
from storyloom.app.agents.plan_rules import MOST_WORDS, PlanRules, shortened
from storyloom.app.agents.scene import Scene
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.memory.errors import ModelFailed
from storyloom.memory.form import is_finished
from storyloom.memory.generation import Message, Request
from storyloom.memory.names import cast
from storyloom.memory.ports import TextModel
from storyloom.memory.story import Call, Mode, Origin, Plan
from storyloom.memory.text import clean, count_words, joined, sentences, words

_PLANS = 3
_DRAWS = 9  # for the three plans together
_PLAN_TOKENS = 40
_TITLE_DRAWS, _TITLE_TOKENS, _TITLE_WORDS = 3, 16, 8
_OUTLINE_DRAWS, _OUTLINE_TOKENS, _OUTLINE_LINES, _FEWEST_LINES = 3, 130, 5, 3
_LINE_WORDS = range(4, 31)
_MEMORY_WORDS = 50  # of the newest notes, enough to go on from
_LAST_WORDS = 60  # of the last paragraph's end
_PREMISE_WORDS = 80
_LABEL_MARKS = "0123456789.):-–—*#•\"“”«»' \t"


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

    def begin(self, *, premise: str, mode: Mode, language: str, style: str, seed: int) -> Beginning:
        """Find a title and an outline.

        The title falls back to the premise's own first words; the call's verdict says so.
        """
        calls: list[Call] = []
        about = {
            "premise": _head(premise, _PREMISE_WORDS),
            "mode": mode.value,
            "language": language,
            "style": style,
        }
        outline = self._outline(about, seed, calls)
        title = self._title(about, seed, calls)
        return Beginning(title=title, outline=outline, calls=tuple(calls))

    def offer(self, scene: Scene) -> Offer:
        """Three plans for what follows the scene's last paragraph.

        Raises:
            ModelFailed: the model brought no usable sentence, and no earlier plan could be carried.
        """
        openers = self._openers(scene)
        drawing = _Plans(self._rules(scene))
        for draw in range(_DRAWS):
            if len(drawing.plans) == _PLANS:
                break
            opener = next(openers)
            answer = self._ask_for_plan(scene, opener, scene.seed + draw)
            drawing.take(_first_sentence(opener + answer.text, scene.story.language), opener, answer)
        drawing.fill(_spare(scene))
        if len(drawing.plans) < _PLANS:
            raise ModelFailed(
                f"The model {self._model.name} brought no three plans for step {scene.depth} in "
                f"{_DRAWS} tries. Give a plan of your own, or use a stronger model."
            )
        return Offer(plans=tuple(drawing.plans), calls=tuple(drawing.calls))

    def _rules(self, scene: Scene) -> PlanRules:
        told = joined([scene.story.premise, scene.memory.text, scene.last])
        shown = self._plan_prompt(scene, "")[:-1]
        return PlanRules(
            language=scene.story.language,
            told=told,
            examples=joined(message.content for message in shown),
            recent=scene.recent_plans,
        )

    def _openers(self, scene: Scene) -> Iterator[str]:
        """First words of plans, without end; empty ones where nothing can be put in the model's mouth."""
        story = scene.story
        people = cast([scene.last, scene.memory.text, story.premise, story.outline], story.language, limit=3)
        lines = [""]
        if people and "prefill" in self._model.features and story.mode is not Mode.DOCUMENT:
            text = self._templates.text("planner_openers", names=people, language=story.language)
            lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
        place = scene.seed
        while True:
            yield lines[place % len(lines)]
            place += _stride(len(lines))

    def _plan_prompt(self, scene: Scene, opener: str) -> tuple[Message, ...]:
        story = scene.story
        return self._templates.messages(
            "planner_offer",
            premise=_head(story.premise, _PREMISE_WORDS),
            memory=_newest(scene, _MEMORY_WORDS),
            last=_tail(scene.last, _LAST_WORDS, story.language),
            opening=opener,
            mode=story.mode.value,
            language=story.language,
        )

    def _ask_for_plan(self, scene: Scene, opener: str, seed: int) -> Answer:
        language = scene.story.language

        def enough(text: str) -> bool:
            """A whole sentence came, or more than a plan may hold and a place to cut it."""
            whole = opener + text
            return len(sentences(whole, language)) > 1 or (
                count_words(whole) > MOST_WORDS + 1 and shortened(whole, language) != whole
            )

        return self._ask(self._plan_prompt(scene, opener), _PLAN_TOKENS, seed, enough)

    def _title(self, about: dict[str, str], seed: int, calls: list[Call]) -> str:
        prompt = self._templates.messages("planner_title", **about)
        for draw in range(_TITLE_DRAWS):
            answer = self._ask(prompt, _TITLE_TOKENS, seed + draw)
            title = clean(answer.text).strip().partition("\n")[0].strip(_LABEL_MARKS)
            if 1 <= count_words(title) <= _TITLE_WORDS:
                calls.append(answer.judged("kept"))
                return title
            calls.append(answer.judged("no title"))
        calls[-1] = replace(calls[-1], verdict="no title; the premise's first words stand in")
        return _head(about["premise"], _TITLE_WORDS // 2 + 1).rstrip(".,;:!?")

    def _outline(self, about: dict[str, str], seed: int, calls: list[Call]) -> str:
        """Up to five lines, gathered over several draws; fewer when no more came."""
        lines: list[str] = []
        people = cast([about["premise"]], about["language"]) if "prefill" in self._model.features else []
        prompt = self._templates.messages("planner_outline", **about, opening=people[0] if people else "")
        opening = people[0] if people else ""
        for draw in range(_OUTLINE_DRAWS):
            answer = self._ask(prompt, _OUTLINE_TOKENS, seed + draw, stop=("\n\n",))
            fresh = _lines(opening + answer.text, lines, about)
            lines.extend(fresh)
            calls.append(answer.judged(f"{len(fresh)} lines kept"))
            if len(lines) >= _FEWEST_LINES:
                break
        return "\n".join(lines[:_OUTLINE_LINES])

    def _ask(
        self,
        prompt: tuple[Message, ...],
        max_tokens: int,
        seed: int,
        enough: Callable[[str], bool] | None = None,
        stop: tuple[str, ...] = ("\n",),
    ) -> Answer:
        request = Request(
            prompt=prompt, max_tokens=max_tokens, stop=stop, seed=seed, sampling=self._profile.planning
        )
        return ask(self._model, request, agent="planner", enough=enough)


@dataclass(slots=True)
class _Plans:
    """Plans while they are gathered: accepted ones, and refused ones that could stand in."""

    rules: PlanRules
    plans: list[Plan] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _redrawn: bool = False

    def take(self, text: str, opener: str, answer: Answer) -> None:
        """Judge a draw; one that comes after a refused draw counts as repaired."""
        plan = shortened(text, self.rules.language)
        objection = self.rules.objection(plan, opener)
        self.calls.append(answer.judged(objection or ("kept" if plan == text else "kept, shortened")))
        if objection:
            self.refused.append(plan)
            self._redrawn = True
        else:
            self._keep(Plan(plan, Origin.REPAIRED if self._redrawn or plan != text else Origin.MODEL))
            self._redrawn = False

    def fill(self, spare: Sequence[str]) -> None:
        """Make three of what there is: refused draws that are sentences, then plans of before."""
        stand_ins = chain(
            (Plan(text, Origin.REPAIRED) for text in self.refused),
            (Plan(text, Origin.CARRIED) for text in spare),
        )
        for plan in stand_ins:
            if len(self.plans) == _PLANS:
                return
            if self.rules.is_usable(plan.text):
                self._keep(plan)

    def _keep(self, plan: Plan) -> None:
        self.plans.append(plan)
        self.rules.siblings.append(plan.text)


def _spare(scene: Scene) -> list[str]:
    """What may stand in for a plan: those that weren't chosen, the outline, plans of before."""
    chosen = set(scene.recent_plans)
    unchosen = [plan.text for plan in scene.offered if plan.text not in chosen]
    return [*unchosen, *scene.story.outline.splitlines(), *reversed(scene.recent_plans)]


def _stride(length: int) -> int:
    """A step that visits every place of a list of ``length`` in an order that looks mixed."""
    return next(step for step in (5, 3, 7, 1) if length % step or step == 1)


def _first_sentence(text: str, language: str) -> str:
    found = sentences(" ".join(clean(text).split()), language)
    return found[0].lstrip(_LABEL_MARKS) if found else ""


def _lines(text: str, known: Sequence[str], about: dict[str, str]) -> list[str]:
    """The sentences among an answer's lines that the outline doesn't have yet."""
    found = (_first_sentence(line, about["language"]) for line in clean(text).splitlines())
    seen = [words(line) for line in (*known, about["premise"])]
    fresh: list[str] = []
    for line in found:
        if is_finished(line) and count_words(line) in _LINE_WORDS and words(line) not in seen:
            seen.append(words(line))
            fresh.append(line)
    return fresh


def _head(text: str, count: int) -> str:
    return " ".join(text.split()[:count])


def _tail(text: str, count: int, language: str) -> str:
    """The last whole sentences of at most ``count`` words together, one at least."""
    kept: list[str] = []
    for sentence in reversed(sentences(text, language)):
        if kept and count_words(" ".join([sentence, *kept])) > count:
            break
        kept.insert(0, sentence)
    return " ".join(kept)


def _newest(scene: Scene, count: int) -> str:
    """The newest notes of at most ``count`` words together, the premise excepted."""
    kept: list[str] = []
    for note in reversed(scene.memory.notes):
        if note.depth == 0 or count_words(" ".join([note.text, *kept])) > count:
            break
        kept.insert(0, note.text)
    return " ".join(kept)
