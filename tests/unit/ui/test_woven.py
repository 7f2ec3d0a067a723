from dataclasses import replace

from storyloom.memory.story import Call, Provenance, SlotRecord, Weaving
from storyloom.ui import shapes, woven

WEAVING = Weaving(
    strategy="read-twice",
    budget=1820,
    tokens=1293,
    template="{{ plan }}",
    values={"order": ["premise", "plan", "recall", "last", "recall", "plan"]},
    lore={"firings": {}, "why": {"lore:gate": "key 'gate' in plan"}},
)
SLOTS = (
    SlotRecord(slot="premise", source="story:premise", text="A girl\nlives.", tokens=8),
    SlotRecord(slot="lore", source="lore:gate", text="The gate is iron.", tokens=4),
    SlotRecord(
        slot="recall",
        source="step:ab12:1",
        text="Once there was a dog.",
        tokens=1100,
        score=1.314,
        parts={"bm25": 0.8, "dense": -0.51},
    ),
    SlotRecord(slot="recall", source="step:ab12:9", text="It barked.", tokens=0, score=0.2, cut="It barked."),
    SlotRecord(slot="last", source="step:4", text="He slept.", tokens=2, cut="He came home at last. " * 9),
)
CALL = Call(
    agent="writer",
    model="starter",
    prompt="<user>\nWrite.",
    reply="He ran.",
    prompt_tokens=1293,
    completion_tokens=17,
    cached_tokens=700,
    seed=1,
    seconds=2.04,
    verdict="kept",
)
FOUND = Provenance(slots=SLOTS, calls=(CALL, replace(CALL, agent="memory_keeper")), weaving=WEAVING)


def test_every_text_has_a_line_with_source_tokens_score_and_its_parts() -> None:
    assert (
        "\n".join(woven.lines(FOUND))
        == """\
— what went into it —
read-twice: 1,293 of at most 1,820 tokens; read twice: plan, recall

slot     tokens  score  source         text, or why
premise       8         story:premise  “A girl lives.”
lore          4         lore:gate      [key 'gate' in plan]  “The gate is iron.”
recall    1,100   1.31  step:ab12:1    [bm25 +0.80, dense -0.51]  “Once there was a dog.”
recall        –   0.20  step:ab12:9
    cut, all of it: “It barked.”
last          2         step:4         “He slept.”
    cut, 45 words: “He came home at last. He came home at last. He came home at…”

— every call of this step —
writer         1,293 tokens read  (700 kept from before)  17 written  2.0 s  kept
memory_keeper  1,293 tokens read  (700 kept from before)  17 written  2.0 s  kept"""
    )


def test_a_step_of_before_weavings_were_kept_is_shown_without_one() -> None:
    older = replace(FOUND, weaving=None)
    told = list(woven.lines(older))
    assert "an older Storyloom" in told[1]
    assert any("step:ab12:1" in line for line in told)
    assert shapes.provenance(older)["weaving"] is None
    assert list(woven.lines(Provenance(slots=(), calls=())))


def test_the_weaving_is_in_the_document() -> None:
    weaving = shapes.provenance(FOUND)["weaving"]
    assert weaving == {
        "strategy": "read-twice",
        "budget": 1820,
        "tokens": 1293,
        "template": "{{ plan }}",
        "values": WEAVING.values,
        "lore": WEAVING.lore,
    }
