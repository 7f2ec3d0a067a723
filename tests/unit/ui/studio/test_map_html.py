from dataclasses import replace
from datetime import UTC, datetime

from storyloom.app.strands import Branch, Comparison, Pair
from storyloom.memory.story import Strand
from storyloom.ui.studio import map_html
from storyloom.ui.studio.map_diff import marked

HOSTILE = "<script>window.pwned = 1</script><img src=x onerror=alert(1)>\" ' & ${1} {{2}}"
MAIN = Strand(id="main", story_id="s", created_at=datetime(2026, 3, 4, tzinfo=UTC))
SIDE = replace(MAIN, id="side", parent_id="main", fork_depth=2, name="The other door")


def test_a_strand_is_a_row_and_a_line_from_its_fork() -> None:
    html = map_html.tree([Branch(MAIN, 4, 4), Branch(SIDE, 3, 1)], "side")
    assert "--rows: 2" in html
    assert '<g data-pick data-strand="main"><path class="line" d="M0 50H1000"/>' in html
    assert (
        '<g class="open" data-pick data-strand="side"><path class="line" d="M500 50V150M500 150H750"/>'
        in html
    )
    assert html.index("The story") < html.index("The other door")
    assert "open · 3 paragraphs · 1 of its own, from paragraph 2" in html
    assert html.count('aria-current="true"') == 1
    main_open = map_html.tree([Branch(MAIN, 4, 4), Branch(SIDE, 3, 1)], "main")
    assert main_open.index('<g data-pick data-strand="side">') < main_open.index('<g class="open"')


def test_what_left_a_hidden_strand_leaves_the_one_before_it() -> None:
    late = replace(MAIN, id="late", parent_id="side", fork_depth=3)
    early = replace(MAIN, id="early", parent_id="side", fork_depth=1)
    told = [Branch(MAIN, 4, 4), Branch(replace(SIDE, archived=True), 3, 1), Branch(late, 4, 1)]
    html = map_html.tree([*told, Branch(early, 2, 1)], "main", {"side"})
    assert "The other door" not in html
    assert "--rows: 3" in html
    assert 'data-strand="late"><path class="line" d="M500 50V150M500 150H1000"/>' in html
    assert 'data-strand="early"><path class="line" d="M250 50V250M250 250H500"/>' in html
    whole = map_html.tree(told, "main")
    assert "archived · 3 paragraphs · 1 of its own" in whole
    assert '<g class="archived" data-pick data-strand="side">' in whole


def test_a_story_without_a_paragraph_is_a_dot() -> None:
    html = map_html.tree([Branch(MAIN, 0, 0)], "main")
    assert 'd="M0 50H0"' in html
    assert "0 paragraphs" in html


def test_two_strands_are_told_from_their_fork_on() -> None:
    found = Comparison(
        left=MAIN,
        right=SIDE,
        shared=2,
        longest=5,
        pairs=(Pair(3, "The door was red.", "The door was blue."), Pair(4, "It opened.", None)),
    )
    html = map_html.comparison(found)
    assert "The door was <mark>red.</mark>" in html
    assert "The door was <mark>blue.</mark>" in html
    assert "It ends before." in html
    assert "Shown up to paragraph 4 of 5." in html
    assert "neither goes on" in map_html.comparison(replace(found, pairs=(), longest=2))
    assert "different from the beginning" in map_html.comparison(replace(found, shared=0))


def test_hostile_names_and_paragraphs_are_escaped() -> None:
    side = replace(SIDE, name=HOSTILE)
    pairs = (Pair(3, f"{HOSTILE} one", f"{HOSTILE} two"), Pair(4, HOSTILE, None))
    for html in (
        map_html.tree([Branch(MAIN, 4, 4), Branch(side, 3, 1)], "side"),
        map_html.comparison(Comparison(left=side, right=MAIN, shared=2, longest=4, pairs=pairs)),
    ):
        assert "<script" not in html
        assert "<img" not in html


def test_what_differs_is_marked_word_by_word() -> None:
    assert marked("She ran home.", "She ran far home.") == (
        "She ran home.",
        "She ran <mark>far</mark> home.",
    )
    assert marked("a & b c d", "a & b c e") == (
        "a &amp; b c <mark>d</mark>",
        "a &amp; b c <mark>e</mark>",
    )
    assert marked("Same.", "Same.") == ("Same.", "Same.")


def test_what_has_little_in_common_or_is_very_long_is_not_marked() -> None:
    assert marked("One two three four five.", "Six seven eight nine ten.") is None
    assert marked("word " * 1_501, "word " * 1_501) is None
