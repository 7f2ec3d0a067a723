"""Plans, drawn one call at a time: begun with a few words, held to rules, drawn again when they fail.

Small models can't fill a list of three. Knows no story's shape beyond what goes into the prompt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from storyloom.app.agents.calls import Answer, ask
from storyloom.app.agents.plan_rules import MOST_WORDS, PlanRules, shortened
from storyloom.app.events import Cancelled, Listener
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.memory.generation import Message, Request
from storyloom.memory.ports import TextModel
from storyloom.memory.story import Call, Mode, Origin, Plan
from storyloom.memory.text import clean, count_words, joined, sentences

_TOKENS = 40
_LIST_MARKS = "0123456789.):-–—*•# \t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a plan goes on from.

    Attributes:
        premise: what the whole is about, short.
        memory: the newest notes.
        last: the end of what was written.
        told: everything that a plan must not tell again.
        people: who may act, the likeliest first.
        mode: what kind of text it is.
        language: BCP 47 tag.
        chapter: what happens in the chapter that it stands in, for a model that can use it.
    """

    premise: str
    memory: str
    last: str
    told: str
    people: Sequence[str]
    mode: Mode
    language: str
    chapter: str = ""


@dataclass(slots=True)
class Gathering:
    """Plans while they are gathered: accepted ones, and refused ones that could stand in."""

    rules: PlanRules
    plans: list[Plan] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _redrawn: bool = False

    def take(self, text: str, opener: str, answer: Answer) -> None:
        """Judge a draw; one that was cut, or that comes after a refused draw, counts as repaired."""
        plan = shortened(text, self.rules.language)
        objection = self.rules.objection(plan, opener)
        self.calls.append(answer.judged(objection or ("kept" if plan == text else "kept, shortened")))
        if objection:
            self.refused.append(plan)
            self._redrawn = True
        else:
            self.keep(Plan(plan, Origin.REPAIRED if self._redrawn or plan != text else Origin.MODEL))
            self._redrawn = False

    def fill(self, count: int, spare: Sequence[str] = ()) -> None:
        """Bring the plans up to ``count``, for a good paragraph is never lost for want of plans.

        Refused draws that are whole sentences come first, then ``spare`` plans of before, then
        whatever words the model brought.
        """
        mended = [Plan(text, Origin.REPAIRED) for text in sorted(self.refused, key=len)]
        carried = [Plan(text, Origin.CARRIED) for text in spare]
        whole = [plan for plan in mended if self.rules.is_usable(plan.text)]
        for plan in (*whole, *carried, *mended):
            if len(self.plans) < count and self.rules.is_distinct(plan.text):
                self.keep(plan)

    def keep(self, plan: Plan) -> None:
        """Take a plan as it is."""
        self.plans.append(plan)
        self.rules.siblings.append(plan.text)


class PlanDrawer:
    """Draws plans from one model."""

    def __init__(self, model: TextModel, profile: Profile, templates: Templates) -> None:
        self._model = model
        self._profile = profile
        self._templates = templates

    def gather(
        self,
        situation: Situation,
        *,
        count: int,
        draws: int,
        seed: int,
        recent: Sequence[str] = (),
        listener: Listener | None = None,
    ) -> Gathering:
        """Draw until ``count`` plans are accepted or ``draws`` calls are made.

        Args:
            situation: what the plans go on from.
            count: how many are wanted; fewer may come.
            draws: most calls.
            seed: of the first draw; it also says which opener comes first.
            recent: plans chosen lately, newest first.
            listener: may stop it.

        Raises:
            Cancelled: the listener asked to stop.
        """
        shown = self._prompt(situation, "")[:-1]
        rules = PlanRules(
            language=situation.language,
            told=situation.told,
            examples=joined(message.content for message in shown),
            recent=recent,
            to_reader=situation.mode is Mode.FICTION,
        )
        gathering = Gathering(rules)
        openers = self._openers(situation, seed)
        for draw in range(draws):
            if len(gathering.plans) == count:
                break
            opener = next(openers)
            answer = self._ask(situation, rules, opener, seed + draw, listener)
            gathering.take(first_sentence(opener + answer.text, situation.language), opener, answer)
        return gathering

    def _openers(self, situation: Situation, place: int) -> Iterator[str]:
        """First words of plans, without end; empty where nothing can be put in the model's mouth."""
        text = self._opening_lines(situation) if "prefill" in self._model.features else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
        while True:
            yield lines[place % len(lines)]
            place += _stride(len(lines))

    def _opening_lines(self, situation: Situation) -> str:
        if situation.mode is Mode.FICTION:
            return self._templates.text("planner_actions", language=situation.language)
        if situation.people and situation.mode is not Mode.DOCUMENT:
            names = list(situation.people)
            return self._templates.text("planner_openers", names=names, language=situation.language)
        return ""

    def _prompt(self, situation: Situation, opener: str) -> tuple[Message, ...]:
        return self._templates.messages(
            "planner_offer",
            premise=situation.premise,
            memory=situation.memory,
            last=situation.last,
            chapter=situation.chapter,
            opening=opener,
            mode=situation.mode.value,
            language=situation.language,
        )

    def _ask(
        self, situation: Situation, rules: PlanRules, opener: str, seed: int, listener: Listener | None
    ) -> Answer:
        language = situation.language

        def enough(text: str) -> bool:
            """A whole sentence came, or what can be none, or more than a plan holds and a place to cut it."""
            if listener is not None and listener.cancelled():
                raise Cancelled("Stopped. Everything written before stands.")
            whole = opener + text
            is_long = count_words(whole) > MOST_WORDS + 1 and shortened(whole, language) != whole
            return is_long or rules.is_hopeless(whole) or len(sentences(whole, language)) > 1

        request = Request(
            prompt=self._prompt(situation, opener),
            max_tokens=_TOKENS,
            stop=("\n",),
            seed=seed,
            sampling=self._profile.planning,
        )
        return ask(self._model, request, agent="planner", enough=enough)


def first_sentence(text: str, language: str) -> str:
    """The first sentence, without a list's mark before it."""
    found = sentences(" ".join(clean(text).split()).lstrip(_LIST_MARKS), language)
    return found[0] if found else ""


def _stride(length: int) -> int:
    """A step that visits every place of a list of ``length`` in an order that looks mixed."""
    return next(step for step in (5, 3, 7, 1) if length % step or step == 1)
