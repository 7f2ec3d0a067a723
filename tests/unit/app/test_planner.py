from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import pytest

from storyloom.app.agents.plan_rules import PlanRules, runs_into, shortened
from storyloom.app.agents.planner import Beginning, Offer, Planner
from storyloom.app.agents.scene import Scene
from storyloom.app.events import Cancelled, Listener
from storyloom.app.profiles import LARGE, MEDIUM, SMALL, Profile
from storyloom.app.templates import Templates
from storyloom.memory.errors import ModelFailed
from storyloom.memory.generation import Message, Piece, Prompt, Request, Usage
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.short_term import first_memory
from storyloom.memory.story import Mode, Note, Origin, Plan, ShortMemory, Story

STORY = Story(
    id="story0000001",
    owner="local",
    title="The Gate",
    premise="Anna guards the iron gate of a silent town.",
    mode=Mode.NOVEL,
    language="en",
    style="",
    outline="",
    authors_note="",
    settings={},
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)
LAST = "The soldiers came at dawn. Then Anna broke the key and threw it into the well."
GOOD = [
    "rope near the gate and climbs down.",
    "captain to the gate at night.",
    "broken key for a pound of bread.",
]


@dataclass
class Model:
    """Says its replies in turn, again and again, and keeps what it was asked."""

    replies: list[str]
    features: frozenset[str] = frozenset({"prefill"})
    context_tokens: int = 2000
    name: str = "fake"
    parameters: int | None = 135_000_000
    asked: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._turns = cycle(self.replies)

    def stream(self, request: Request) -> Iterator[Piece]:
        self.asked.append(request)
        yield Piece(" " + next(self._turns))
        yield Piece("", Usage(prompt_tokens=9, completion_tokens=9))

    def count_tokens(self, _prompt: Prompt) -> int:
        return 9

    def close(self) -> None:
        pass


def scene(**changes: object) -> Scene:
    at = Scene(
        story=STORY,
        depth=4,
        plan="",
        memory=first_memory(STORY.premise),
        last=LAST,
        recalled=(),
        recent_plans=(),
        index=StoryIndex(),
        seed=50,
    )
    return replace(at, **changes)  # type: ignore[arg-type]


def planner(model: Model, profile: Profile = SMALL) -> Planner:
    return Planner(model, profile, Templates(Path("nowhere")))


def offer(model: Model, at: Scene | None = None) -> Offer:
    return planner(model).offer(at or scene())


def begin(
    model: Model, profile: Profile = SMALL, premise: str = STORY.premise, language: str = "en"
) -> Beginning:
    return planner(model, profile).begin(
        premise=premise, mode=Mode.NOVEL, language=language, style="", seed=3
    )


def chat(request: Request) -> tuple[Message, ...]:
    assert not isinstance(request.prompt, str)
    return request.prompt


def test_three_plans_each_begun_with_other_words() -> None:
    model = Model(GOOD)
    plans = offer(model).plans
    assert len({plan.text for plan in plans}) == 3
    assert {plan.origin for plan in plans} == {Origin.MODEL}
    openings = [chat(request)[-1] for request in model.asked]
    assert [opening.role for opening in openings] == ["assistant"] * 3
    assert len({opening.content for opening in openings}) == 3
    assert all("Anna" in plan.text or "Someone" in plan.text for plan in plans)


def test_the_three_calls_share_everything_before_the_opening() -> None:
    model = Model(GOOD)
    offer(model)
    assert len({chat(request)[:-1] for request in model.asked}) == 1
    assert "broke the key" in chat(model.asked[0])[-2].content


def test_the_examples_stay_equal_from_step_to_step() -> None:
    model = Model(GOOD)
    offer(model)
    offer(model, scene(last="Nobody came."))
    assert chat(model.asked[0])[:-2] == chat(model.asked[-1])[:-2]


def test_a_refused_plan_is_drawn_again_with_other_words() -> None:
    model = Model(["journey of destiny in the well.", *GOOD])
    made = offer(model)
    assert [call.verdict for call in made.calls] == ["vague", "kept", "kept", "kept"]
    assert [plan.origin for plan in made.plans] == [Origin.REPAIRED, Origin.MODEL, Origin.MODEL]


def test_a_long_plan_is_cut_where_a_clause_ends() -> None:
    rest = "and the soldiers who were asleep under the trees woke up and ran to see it."
    long = f"rope in the old well and ties it to the gate, {rest}"
    made = offer(Model([long, *GOOD]))
    assert made.plans[0].origin is Origin.REPAIRED
    assert made.plans[0].text.endswith("rope in the old well and ties it to the gate.")
    assert made.calls[0].verdict == "kept, shortened"


def test_refused_sentences_stand_in_when_nothing_better_came() -> None:
    made = offer(Model(["wonder of the soul.", "lesson of fate.", "theme of humanity."]))
    assert {plan.origin for plan in made.plans} == {Origin.REPAIRED}
    assert len({plan.text for plan in made.plans}) == 3
    assert len(made.calls) == 9


def test_plans_that_nobody_chose_are_carried_at_last() -> None:
    unchosen = (Plan("Tom sells the gate."), Plan("A dog digs up the key."), Plan("Anna leaves for the sea."))
    at = scene(
        offered=unchosen, recent_plans=("Tom sells the gate.",), story=replace(STORY, outline="It ends.")
    )
    made = offer(Model([""], features=frozenset()), at)
    assert [plan.text for plan in made.plans] == [
        "A dog digs up the key.",
        "Anna leaves for the sea.",
        "It ends.",
    ]
    assert {plan.origin for plan in made.plans} == {Origin.CARRIED}


def test_a_model_that_says_nothing_at_the_very_beginning_is_told_of() -> None:
    with pytest.raises(ModelFailed, match="fake brought no three plans"):
        offer(Model([""], features=frozenset()))


def test_without_prefill_or_people_nothing_is_put_in_the_model_s_mouth() -> None:
    unnamed = replace(STORY, premise="a silent town")
    at = scene(story=unnamed, last="The soldiers came at dawn.", memory=ShortMemory())
    for model, told in ((Model(["x"]), at), (Model(["x"], features=frozenset()), scene())):
        with pytest.raises(ModelFailed):
            offer(model, told)
        assert {chat(request)[-1].role for request in model.asked} == {"user"}


def test_a_document_s_plans_are_about_no_person() -> None:
    model = Model(
        ["The next part compares two towns.", "It tells of the gate.", "Soldiers are counted here."]
    )
    made = offer(model, scene(story=replace(STORY, mode=Mode.DOCUMENT)))
    assert len(made.plans) == 3
    assert chat(model.asked[0])[-1].role == "user"


def test_in_another_language_a_plan_begins_with_a_name_alone() -> None:
    german = replace(STORY, language="de", premise="Das tat Anna. Anna bewacht ein Tor.")
    model = Model(
        [
            "öffnet nachts leise das alte Tor.",
            "wirft den Schlüssel weit über das Tor.",
            "verlässt heute ihr Tor.",
        ]
    )
    made = offer(model, scene(story=german, last="Da kam Anna.", memory=ShortMemory()))
    assert all(plan.text.startswith("Anna ") for plan in made.plans)
    assert '"de"' in chat(model.asked[0])[0].content


def test_only_the_newest_notes_and_the_last_sentences_are_read() -> None:
    memory = ShortMemory(
        tuple(
            Note(f"Note {number} tells ten words of what once happened here.", number) for number in range(20)
        )
    )
    model = Model(GOOD)
    offer(model, scene(memory=memory, last=f"{'The gate stood open wide. ' * 40}The end came."))
    told = chat(model.asked[0])[-2].content
    assert "Note 19" in told
    assert "Note 3 " not in told
    assert told.count("The gate stood") < 13


RULES = PlanRules(
    language="en",
    told=f"{STORY.premise} {LAST}",
    examples="Tobias comes back at night to dig under the millstone. Then Tobias sings.",
    recent=[
        "Anna paints the gate blue with a brush.",
        *(f"Tom drops a lantern {way}." for way in ["here", "there", "again", "twice"]),
    ],
    siblings=["Anna climbs down the well on a rope."],
)


@pytest.mark.parametrize(
    ("plan", "objection"),
    [
        ("Anna nails the gate shut before the soldiers wake.", ""),
        ("Anna nails it.", "too short"),
        ("Anna nails the gate shut before the", "breaks off"),
        ("Does Anna nail the gate shut again?", "breaks off"),
        ("Anna " + "nails the gate and " * 8 + "sleeps.", "too long"),
        ('Anna says "no" to the soldiers at the gate.', "speech"),
        ("Anna gives you the key of the gate.", "speaks to the reader"),
        ("In the next chapter Anna opens the gate.", "talks about the text"),
        ("Anna nails the gate shut, and Tom nails the gate shut.", "repeats itself"),
        ("Anna begins a journey beyond the gate.", "vague"),
        ("The soldiers came at dawn and Anna broke the key.", "happened already"),
        ("Anna comes back at night to dig under the gate.", "taken from an example"),
        ("Anna hands the key of the gate to Tobias.", "taken from an example"),
        ("Anna climbs down the well on a ladder.", "like another of the three"),
        ("Anna paints the gate red with a brush.", "like a plan of late"),
        ("Anna drops the lantern into the well tonight.", "always the same thing"),
        ("The miller buys three cows from her cousin.", "nothing to do with the story"),
        ("Anna shows the key to Boris, to Clara and to Dmitri.", "too many new names"),
    ],
)
def test_objections(plan: str, objection: str) -> None:
    assert RULES.objection(plan) == objection


def test_a_plan_is_given_up_as_soon_as_it_can_not_be_saved() -> None:
    assert RULES.is_hopeless('Anna says "no')
    assert RULES.is_hopeless("Anna begins a journey to")
    assert not RULES.is_hopeless("Anna begins a journey")
    assert not RULES.is_hopeless("Anna opens the gate")


def test_the_words_that_were_given_do_not_relate_a_plan_to_the_story() -> None:
    assert RULES.objection("Anna opens the gate to bake some bread.") == ""
    assert RULES.objection("Anna opens the gate to bake some bread.", "Anna opens the gate") == (
        "nothing to do with the story"
    )


def test_a_cut_leaves_no_dangling_clause() -> None:
    plan = "Anna opens the gate of the town, and after a few days, " + "the soldiers come and " * 5 + "go."
    assert shortened(plan, "en") == "Anna opens the gate of the town."
    assert shortened("Short, but fine.", "en") == "Short, but fine."


def test_a_word_that_goes_on_past_the_opening() -> None:
    assert runs_into("Mara", "Maravinga went.")
    assert not runs_into("Mara", "Mara’s lamp went out.")
    assert not runs_into("", "Mara went.")


def test_a_beginning_has_a_title_and_an_outline_line_by_line() -> None:
    lines = [
        "rope in the well of the town.",
        "captain at the gate.",
        "silent boy to the town.",
        "iron bell of the town.",
    ]
    model = Model([*lines, '"The Iron Gate"'])
    made = begin(model)
    assert made.title == "The Iron Gate"
    assert [line.split(" ", 1)[1][-9:] for line in made.outline.splitlines()] == [line[-9:] for line in lines]
    assert len(made.calls) == len(model.asked) == 5


@pytest.mark.parametrize(
    ("replies", "name"),
    [
        (["General Marcus Blackwood, and I was born here."], "Marcus"),
        (["the infamous one", "Tobias."], "Tobias"),
        (["Le bruit de la mer"], ""),
        (["nobody", "", "a soldier", "old"], ""),
    ],
)
def test_a_premise_without_a_name_gets_one(replies: list[str], name: str) -> None:
    premise = "An old general returns to the town that he burned."
    model = Model([*replies, *["old town and climbs down to the river.", "gate of the town at night."] * 9])
    begin(model, premise=premise)
    assert chat(model.asked[0])[-1] == Message("assistant", "My name is")
    begun = [chat(request)[-1] for request in model.asked if "You plan" in chat(request)[0].content]
    if name:
        assert all(turn.role == "assistant" for turn in begun)
        assert any(name in turn.content for turn in begun)
    else:
        assert all(turn.role == "user" for turn in begun)


def test_a_name_is_asked_for_only_where_the_premise_has_none() -> None:
    model = Model([*GOOD, '"The Iron Gate"'])
    begin(model)
    assert "novelist" not in {chat(request)[0].content for request in model.asked}
    assert not any("My name is" in chat(request)[-1].content for request in model.asked)


@pytest.mark.parametrize(
    ("reply", "title"),
    [
        ("Title: **The Gate**", "Title: **The Gate"),
        ("The Gate\nA story of iron", "The Gate"),
        ("The Gate of Iron: a long tale of a town that nobody knew well", "The Gate of Iron"),
    ],
)
def test_titles_are_taken_out_of_their_marks(reply: str, title: str) -> None:
    assert begin(Model([reply])).title == title


def test_without_a_title_the_premise_lends_its_first_words() -> None:
    made = begin(Model(["words without an end " * 6]))
    assert made.title == "Anna guards the iron"
    assert made.calls[-1].verdict == "no title; the premise's first words stand in"


def test_an_able_model_lists_the_outline() -> None:
    listed = (
        "1. Anna guards a gate.\n\n2. Anna guards a gate.\n- She loses the key.\nAll ends well for her.\nand"
    )
    model = Model([listed, "The Gate"])
    made = begin(model, LARGE)
    assert made.outline == "Anna guards a gate.\nShe loses the key.\nAll ends well for her."
    assert [call.verdict for call in made.calls] == ["3 lines", "kept"]


def test_an_outline_has_as_many_lines_as_are_asked_for() -> None:
    listed = Model(["\n".join(f"Anna opens the gate number {number} again." for number in range(9))])
    found = planner(listed, LARGE).begin(
        premise=STORY.premise, mode=Mode.NOVEL, language="en", style="", seed=3, title="The Gate", lines=7
    )
    assert len(found.outline.splitlines()) == 8  # a line more than asked is kept: it may be the end
    assert "7 short sentences" in chat(listed.asked[0])[0].content
    drawn = planner(Model([*GOOD, "soldiers at the well before noon."])).begin(
        premise=STORY.premise, mode=Mode.NOVEL, language="en", style="", seed=3, title="The Gate", lines=3
    )
    assert len(drawn.outline.splitlines()) == 3


def test_what_is_given_costs_no_call() -> None:
    model = Model(["The Gate at Dawn"])
    given = {"premise": STORY.premise, "mode": Mode.NOVEL, "language": "en", "style": "", "seed": 3}
    whole = planner(model).begin(**given, title="The Gate", outline="Anna leaves.")  # type: ignore[arg-type]
    assert (whole.title, whole.outline, whole.calls, model.asked) == ("The Gate", "Anna leaves.", (), [])
    titled = planner(model).begin(**given, outline="Anna leaves.")  # type: ignore[arg-type]
    assert (titled.title, len(titled.calls)) == ("The Gate at Dawn", 1)


def test_a_chapter_is_called_as_the_outline_calls_it_or_as_the_model_does() -> None:
    model = Model(["The Mill After Dark", "The Broken Key"])
    named = scene(chapter="The Well: Anna looks for the key.")
    assert planner(model).chapter_title(named) == ("The Well", ())
    title, calls = planner(model).chapter_title(scene(chapter="Anna looks for the key."))
    assert title == "The Broken Key"  # the other is an example's
    assert [call.verdict for call in calls] == ["no title", "kept"]
    assert "Anna looks for the key." in calls[0].prompt


def test_an_able_model_s_plans_stay_in_their_chapter() -> None:
    seen = []
    for profile in (MEDIUM, SMALL):
        model = Model(GOOD)
        planner(model, profile).offer(scene(chapter="Anna looks for the key."))
        seen.append("In this chapter: Anna looks for the key." in chat(model.asked[0])[-2].content)
    assert seen == [True, False]


def test_a_model_that_says_nothing_still_gives_a_beginning() -> None:
    made = begin(Model([""], features=frozenset()))
    assert (made.title, made.outline) == ("Anna guards the iron", "")


def test_of_a_huge_premise_only_the_head_is_read() -> None:
    model = Model(GOOD)
    begin(model, premise="Anna waits. " * 100_000)
    assert max(len(chat(request)[-2].content) for request in model.asked) < 2_000


@pytest.mark.model
def test_the_starter_plans(starter_weights: Path) -> None:
    from storyloom.generators.llama_cpp import LlamaCppModel

    model = LlamaCppModel(starter_weights, name="starter")
    plans = Planner(model, SMALL, Templates(Path("nowhere")))
    try:
        made = plans.begin(premise=STORY.premise, mode=Mode.NOVEL, language="en", style="", seed=3)
        offers = [plans.offer(scene(seed=seed)).plans for seed in (1, 2)]
    finally:
        model.close()
    assert made.title
    assert len(made.outline.splitlines()) >= 3
    for three in offers:
        assert len({plan.text for plan in three if plan.text}) == 3
        assert {plan.origin for plan in three} <= {Origin.MODEL, Origin.REPAIRED}


def test_planning_stops_at_the_next_word() -> None:
    class Stopped(Listener):
        def cancelled(self) -> bool:
            return bool(model.asked)

    model = Model([GOOD[0]])
    with pytest.raises(Cancelled):
        planner(model).offer(scene(), Stopped())
    assert len(model.asked) == 1
