from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storyloom.app.influence import Effect, Explanation
from storyloom.app.inspecting import History, Inspection
from storyloom.app.prompt_pieces import Piece
from storyloom.memory.generation import Likelihood
from storyloom.memory.measures import Moment
from storyloom.memory.story import Call, Origin, Provenance, ShortMemory, SlotRecord, Step, Weaving
from storyloom.ui.studio import inspect_charts, inspect_html
from storyloom.ui.studio.slots import slot_class, slot_title, source_words

HOSTILE = "<script>window.pwned = 1</script><img src=x onerror=alert(1)>\" ' & ${1} {{2}}"
RECORDS = (
    SlotRecord(slot="premise", source="story:premise", text="A lamp.", tokens=2),
    SlotRecord(
        slot="recall",
        source="step:s:3",
        text="It rang",
        tokens=2,
        score=0.8123,
        parts={"bm25": 0.7},
        cut="twice that night.",
    ),
    SlotRecord(slot="lore", source="lore:9", text="Gulls.", tokens=0, cut="Gulls."),
    SlotRecord(slot="memory", source="note:4", text="The bell is lost.", tokens=4),
)
CALL = Call(
    agent="writer",
    model="m",
    prompt="About: A lamp. It rang The bell is lost.",
    reply="The answer",
    prompt_tokens=12,
    completion_tokens=3,
    cached_tokens=5,
    seed=7,
    seconds=1.0,
    verdict="kept",
)
PIECES = (
    Piece("About: "),
    Piece("A lamp.", 0),
    Piece(" "),
    Piece("It rang", 1),
    Piece(" "),
    Piece("The bell is lost.", 3),
)
WEAVING = Weaving(
    strategy="budgeted",
    budget=900,
    tokens=12,
    template="",
    values={},
    lore={"why": {"lore:9": "the key “gull” in the plan"}},
)
STEP = Step(
    strand_id="s",
    depth=9,
    plan="She opens it.",
    plan_origin=Origin.PERSON,
    paragraph="The door gave way.\nBehind it was the sea.",
    paragraph_origin=Origin.MODEL,
    memory=ShortMemory(),
    memory_origin=Origin.MODEL,
    added=(),
    dropped=(),
    plans=(),
    model="starter",
    seed=41,
    sampling={"temperature": 0.8},
    seconds=2.5,
    prompt_tokens=1200,
    completion_tokens=90,
    created_at=datetime(2026, 3, 4, tzinfo=UTC),
)


@pytest.fixture
def found() -> Inspection:
    keeper = replace(CALL, agent="memory_keeper", prompt="Keep this in mind.", verdict="")
    return Inspection(
        step=STEP,
        last=12,
        provenance=Provenance(slots=RECORDS, calls=(CALL, keeper), weaving=WEAVING),
        prompt=PIECES,
        is_matched=True,
        unseen=frozenset({"lore"}),
    )


def moment(depth: int, **fields: object) -> Moment:
    made = Moment(
        depth=depth,
        slots={"premise": 2, "recall": 4},
        template_tokens=6,
        budget=900,
        recalled=(2,),
        memory_words=80,
        seconds=2.0,
        completion_tokens=50,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def test_the_prompt_is_coloured_by_slot_and_the_templates_words_are_not(found: Inspection) -> None:
    html = inspect_html.prompt(found)
    assert (
        'About: <mark class="slot-premise" title="Premise">A lamp.</mark> '
        '<mark class="slot-recall" title="Recalled">It rang</mark> '
        '<mark class="slot-memory" title="Short-term memory">The bell is lost.</mark></pre>'
    ) in html
    assert "12 of at most 900 tokens; weaver: budgeted; 5 tokens known from before." in html
    assert html.index("the template’s own words") < html.index("<pre")


def test_each_slot_tells_its_tokens_source_score_and_what_was_cut(found: Inspection) -> None:
    html = inspect_html.prompt(found)
    assert "the story’s premise" in html
    assert 'data-depth="3">paragraph 3</button>' in html
    assert 'noted after <button type="button" class="link" data-pick data-depth="4">' in html
    assert "0.81" in html
    assert "bm25 +0.70" in html
    assert "3 words cut: there was no room" in html
    assert "twice that night." in html
    assert "All of it cut: the prompt’s template has no place for it" in html
    assert "the key “gull” in the plan" in html


def test_a_prompt_that_isnt_matched_is_shown_whole_and_says_so(found: Inspection) -> None:
    html = inspect_html.prompt(replace(found, prompt=(Piece(CALL.prompt),), is_matched=False))
    assert CALL.prompt in html
    assert "<mark" not in html
    assert "can’t be told" in html
    assert "None is kept" in inspect_html.prompt(replace(found, prompt=()))


def test_a_paragraphs_plan_and_drawing_are_told(found: Inspection) -> None:
    html = inspect_html.paragraph(found)
    assert "of 12" in html
    assert "She opens it. <span>a person’s own plan</span>" in html
    for told in ("starter", "41", "temperature 0.8", "2.5 s", "1,200 read and 90 written"):
        assert told in html
    assert "edited by hand" not in html
    edited = replace(STEP, paragraph_origin=Origin.PERSON, plan="")
    html = inspect_html.paragraph(replace(found, step=edited))
    assert "edited by hand" in html
    assert "by nobody" in html


def test_every_call_is_folded_and_the_first_isnt_printed_twice(found: Inspection) -> None:
    html = inspect_html.calls(found)
    assert html.count("<details>") == 2
    assert CALL.prompt not in html
    assert "Keep this in mind." in html
    assert html.count("The answer") == 2
    assert "1.0 s · kept" in html
    assert inspect_html.calls(replace(found, provenance=Provenance(slots=(), calls=()))) == ""


def test_effects_are_bars_to_both_sides_of_a_line() -> None:
    explained = Explanation(
        depth=9,
        model="starter",
        likelihood=Likelihood(-210.25, 120),
        is_edited=True,
        effects=(Effect(RECORDS[1], -4.0, -0.03), Effect(RECORDS[3], 1.0, 0.01)),
    )
    html = inspect_html.effects(explained)
    assert '<rect class="against" x="0.00" y="0" width="50.00"' in html
    assert '<rect class="for" x="50.00" y="0" width="12.50"' in html
    assert "−4.00 nats" in html
    assert "+1.00 nats" in html
    assert "−210.2" in html
    assert "edited by hand" in html
    assert "Nothing remembered" in inspect_html.effects(replace(explained, effects=()))
    assert 'width="0.00"' in inspect_html.effects(replace(explained, effects=(Effect(RECORDS[1], 0.0, 0.0),)))


def test_hostile_text_is_escaped_everywhere(found: Inspection) -> None:
    record = SlotRecord(
        slot=HOSTILE, source=HOSTILE, text=HOSTILE, tokens=1, score=1.0, parts={HOSTILE: 1.0}, cut=HOSTILE
    )
    call = Call(
        agent=HOSTILE,
        model=HOSTILE,
        prompt=HOSTILE,
        reply=HOSTILE,
        prompt_tokens=1,
        completion_tokens=1,
        cached_tokens=1,
        seed=1,
        seconds=1.0,
        verdict=HOSTILE,
    )
    weaving = replace(WEAVING, strategy=HOSTILE, lore={"why": {HOSTILE: HOSTILE}})
    step = replace(STEP, plan=HOSTILE, paragraph=HOSTILE, model=HOSTILE, sampling={HOSTILE: HOSTILE})
    hostile = replace(
        found,
        step=step,
        provenance=Provenance(slots=(record,), calls=(call,), weaving=weaving),
        prompt=(Piece(HOSTILE), Piece(HOSTILE, 0)),
    )
    explained = Explanation(
        depth=1,
        model=HOSTILE,
        likelihood=Likelihood(-1.0, 1),
        is_edited=False,
        effects=(Effect(record, 1.0, 1.0),),
    )
    history = History(moments=(moment(1, slots={HOSTILE: 3}),), last=1)
    for html in (
        inspect_html.paragraph(hostile),
        inspect_html.prompt(hostile),
        inspect_html.calls(hostile),
        inspect_html.effects(explained),
        inspect_charts.charts(history),
    ):
        assert "<script" not in html
        assert "<img" not in html


def test_the_charts_show_two_hundred_paragraphs_at_most_and_say_so() -> None:
    moments = tuple(moment(depth) for depth in range(1801, 2001))
    html = inspect_charts.charts(History(moments=moments, last=2000))
    assert "The last 200 of 2,000 paragraphs are shown." in html
    assert html.count("<svg") == 5
    assert html.count("<g data-pick") == 5 * 200
    assert "shown" not in inspect_charts.charts(History(moments=moments[-3:], last=3))
    assert inspect_charts.charts(History(moments=(), last=0)) == ""


def test_a_prompts_bar_is_its_slots_one_upon_the_other() -> None:
    html = inspect_charts.budget([moment(7), moment(8, slots={"premise": 6}, template_tokens=0)])
    first, second = html.split("<g ")[1:]
    assert 'class="slot-premise" x="1" y="83.33" width="8" height="16.67"' in first
    assert 'class="slot-recall" x="1" y="50.00" width="8" height="33.33"' in first
    assert 'class="slot-none" x="1" y="0.00" width="8" height="50.00"' in first
    assert 'class="slot-premise" x="11" y="50.00" width="8" height="50.00"' in second
    assert "Paragraph 7: 12 tokens (Premise 2, Recalled 4, template 6)" in first
    assert "12 tokens at most, of 900 that there is room for" in html


def test_recall_shows_how_far_back_it_reaches() -> None:
    html = inspect_charts.reach([moment(12, recalled=(2, 7)), moment(13, recalled=())])
    assert "reaches 10 paragraphs back at most" in html
    assert 'class="stem" x="1" y="0.00" width="8" height="100.00"' in html
    assert html.count('class="mark"') == 2
    assert "recalls paragraph 2, paragraph 7" in html
    assert "Nothing was recalled yet" in inspect_charts.reach([moment(3, recalled=())])


def test_a_row_of_nothing_has_no_bars_to_speak_of() -> None:
    html = inspect_charts.bars(
        "Speed", "{} tokens a second".format, [moment(1, seconds=0.0)], lambda m: m.tokens_a_second
    )
    assert 'height="0.00"' in html
    assert 'aria-label="Speed: 0.0 tokens a second at most; paragraph 1 has 0."' in html


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("story:premise", "the story’s premise"),
        ("plan", "the plan for this paragraph"),
        ("note:0", "there from the start"),
        ("note:4", "noted after ¶4"),
        ("step:8", "¶8"),
        ("summary:s:20", "the summary up to ¶20"),
        ("character:ab", "a character’s sheet"),
        ("odd:<i>{thing}", "odd:&lt;i&gt;{thing}"),
    ],
)
def test_a_source_is_told_in_words(source: str, words: str) -> None:
    assert source_words(source, "¶{}".format) == words


def test_slots_have_names_and_colours() -> None:
    assert slot_title("depth:2") == "Lore 2 back"
    assert slot_title("outlet:town") == "Lore: town"
    assert slot_title("odd") == "odd"
    assert slot_class("depth:2") == slot_class("lore_before") == "slot-lore"
    assert slot_class("memory") == "slot-memory"
