from datetime import UTC, datetime

import pytest

from storyloom.memory.story import (
    Call,
    Dropped,
    Job,
    JobState,
    Mode,
    Note,
    Origin,
    Plan,
    Provenance,
    ShortMemory,
    SlotRecord,
    Step,
    Story,
)
from storyloom.ui.studio import write_html

HOSTILE = "<script>window.pwned = 1</script><img src=x onerror=alert(1)>\" ' & ${1} {{2}}"
NOW = datetime(2026, 3, 4, tzinfo=UTC)


def step(paragraph: str, depth: int = 1) -> Step:
    return Step(
        strand_id="s",
        depth=depth,
        plan=HOSTILE,
        plan_origin=Origin.MODEL,
        paragraph=paragraph,
        paragraph_origin=Origin.MODEL,
        memory=ShortMemory((Note(HOSTILE, 0),)),
        memory_origin=Origin.MODEL,
        added=(Note(HOSTILE, 1),),
        dropped=(Dropped(Note(HOSTILE, 0), HOSTILE),),
        plans=(Plan(HOSTILE),) * 3,
        model=HOSTILE,
        seed=1,
        sampling={},
        seconds=1.0,
        prompt_tokens=1,
        completion_tokens=1,
        created_at=NOW,
    )


STORY = Story(
    id=HOSTILE,
    owner="local",
    title=HOSTILE,
    premise=HOSTILE,
    mode=Mode.NOVEL,
    language=HOSTILE,
    style="",
    outline=HOSTILE,
    authors_note="",
    settings={},
    created_at=NOW,
    updated_at=NOW,
)
JOB = Job(
    id="j",
    story_id="t",
    strand_id="s",
    depth=2,
    state=JobState.INTERRUPTED,
    worker="w",
    lease_until=NOW,
    plan="",
    journal=HOSTILE,
    error="",
    created_at=NOW,
)
CALL = Call(
    agent="writer",
    model="m",
    prompt=HOSTILE,
    reply=HOSTILE,
    prompt_tokens=9,
    completion_tokens=9,
    cached_tokens=0,
    seed=1,
    seconds=0.5,
    verdict=HOSTILE,
)
SLOT = SlotRecord(slot=HOSTILE, source=HOSTILE, text=HOSTILE, tokens=3, score=0.5, cut="rest")


@pytest.mark.parametrize(
    "html",
    [
        write_html.document(HOSTILE, [step(HOSTILE)], HOSTILE),
        write_html.draft(HOSTILE),
        write_html.draft("", HOSTILE),
        write_html.masthead(HOSTILE, HOSTILE, HOSTILE),
        write_html.notice(HOSTILE),
        write_html.status(HOSTILE),
        write_html.memory_change(step(HOSTILE)),
        write_html.about(STORY),
        write_html.cut_off(JOB),
        write_html.provenance(1, Provenance(slots=(SLOT,), calls=(CALL,))),
    ],
)
def test_hostile_text_is_shown_and_never_becomes_markup(html: str) -> None:
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;window.pwned = 1&lt;/script&gt;" in html
    assert 'alert(1)>"' not in html


def test_a_document_numbers_its_paragraphs_and_keeps_line_breaks() -> None:
    html = write_html.document("T", [step("One.\n\nTwo.", 7)], "en")
    assert 'data-depth="7"' in html
    assert '<p dir="auto">One.</p><p dir="auto">Two.</p>' in html


def test_a_draft_shows_its_plan_until_words_come() -> None:
    assert "She opens it." in write_html.draft("", "She opens it.")
    assert "She opens it." not in write_html.draft("The door", "She opens it.")


def test_nothing_to_say_is_no_box() -> None:
    assert write_html.notice("") == ""
    assert write_html.cut_off(None) == ""


def test_the_writers_last_prompt_is_the_open_one() -> None:
    html = write_html.provenance(1, Provenance(slots=(), calls=(CALL, CALL)))
    assert html.count("<details open>") == 1
    assert html.index("<details open>") < html.index("<details>")


def test_memory_before_the_first_paragraph() -> None:
    assert "premise" in write_html.memory_change(None)
