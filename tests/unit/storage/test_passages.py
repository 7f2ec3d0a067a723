from collections.abc import Callable, Sequence
from functools import partial

import pytest

from storyloom.memory.errors import StepConflict
from storyloom.memory.story import Candidate, Chapter, Passage, PassageKind, Segment, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.vectors import VectorCache

Grow = Callable[..., None]
MAIN = (Segment("main", 10**6),)


@pytest.fixture
def put(database: Database, story: Story) -> Callable[..., None]:
    """Keeps passages of the main strand by depth: a text, or a text and a vector."""
    assert story

    def write(passages: dict[int, str | tuple[str, tuple[float, ...]]], embedder: str = "e") -> None:
        with database.unit_of_work() as work:
            for depth, value in passages.items():
                text, vector = (value, None) if isinstance(value, str) else value
                work.passages.add(
                    [Passage(strand_id="main", depth=depth, text=text, vector=vector, embedder=embedder)]
                )
            work.commit()

    return write


def search(
    database: Database,
    terms: Sequence[str] = (),
    vector: Sequence[float] = (),
    segments: Sequence[Segment] = MAIN,
    before: int = 10**6,
    limit: int = 10,
    embedder: str = "e",
    kinds: Sequence[PassageKind] | None = None,
) -> dict[int, Candidate]:
    """What is found by depth, best first."""
    with database.unit_of_work(write=False) as work:
        found = work.passages.search(
            terms=dict.fromkeys(terms, 1.0),
            vector=vector,
            embedder=embedder,
            segments=segments,
            before=before,
            limit=limit,
            kinds=kinds,
        )
    return {candidate.depth: candidate for candidate in found}


def test_words_are_found_in_any_form_and_case(database: Database, put: Callable[..., None]) -> None:
    put({1: "The keepers RINGING bells", 2: "Señor Núñez waits", 3: "鐘 が 鳴る", 4: "nothing here"})
    assert list(search(database, ["bell"])) == [1]
    assert list(search(database, ["ring"])) == [1]
    assert list(search(database, ["nunez"])) == [2]
    assert list(search(database, ["鐘"])) == [3]
    assert list(search(database, ["absent"])) == []


def test_rare_words_and_more_of_them_score_higher(database: Database, put: Callable[..., None]) -> None:
    put(dict.fromkeys(range(1, 8), "the sea and the sky") | {8: "the bell", 9: "the bell in the tower"})
    found = search(database, ["bell", "tower", "sea"], limit=3)
    assert list(found)[:2] == [9, 8]
    assert found[9].bm25 > found[8].bm25 > found[7].bm25 > 0


def test_a_heavier_word_decides(database: Database, put: Callable[..., None]) -> None:
    put({1: "a bell", 2: "a gong", **dict.fromkeys(range(3, 60), "the sea")})
    with database.unit_of_work(write=False) as work:
        for heavy, depth in (("bell", 1), ("gong", 2)):
            found = work.passages.search(
                terms={"bell": 1.0, "gong": 1.0} | {heavy: 2.0},
                vector=(),
                embedder="",
                segments=MAIN,
                before=99,
                limit=1,
            )
            assert [candidate.depth for candidate in found] == [depth]


def test_likeness_is_the_dot_product_nearest_first(database: Database, put: Callable[..., None]) -> None:
    put({1: ("a", (1.0, 0.0)), 2: ("b", (0.6, 0.8)), 3: ("c", (-1.0, 0.0)), 4: "d"})
    found = search(database, vector=(1.0, 0.0), limit=2)
    assert {depth: candidate.likeness for depth, candidate in found.items()} == {
        1: 1.0,
        2: pytest.approx(0.6),
    }
    assert found[1].dense > found[2].dense > 0


def test_each_candidate_has_what_speaks_for_it(database: Database, put: Callable[..., None]) -> None:
    put({1: ("a bell", (0.0, 1.0)), 2: ("a gong", (1.0, 0.0)), 3: "the bell"})
    found = search(database, ["bell"], (1.0, 0.0))
    assert (found[1].bm25 > 0, found[1].likeness, found[1].dense) == (True, 0.0, -1.0)
    assert (found[2].bm25, found[2].likeness, found[2].dense) == (0.0, 1.0, 1.0)
    assert (found[3].bm25 > 0, found[3].likeness, found[3].dense) == (True, None, 0.0)
    assert found[2].beside == pytest.approx((found[1].bm25 + found[3].bm25) / 2)
    assert found[1].chapter == found[2].chapter == found[3].chapter > 0


@pytest.mark.usefixtures("story")
def test_a_chapter_speaks_for_its_passages_by_its_words_and_its_title(database: Database, grow: Grow) -> None:
    texts = {1: "The bell rang.", 2: "Nobody came.", 3: "Rain fell.", 4: "The road was long."}
    grow("main", 1, 4, texts)
    with database.unit_of_work() as work:
        work.chapters.add(
            [
                Chapter(strand_id="main", depth=1, title="The Bell"),
                Chapter(strand_id="main", depth=3, title="A Journey"),
            ]
        )
        work.commit()
    by_word = search(database, ["rang", "nobody", "road"])
    assert by_word[1].chapter == by_word[2].chapter > by_word[4].chapter > 0
    by_title = search(database, ["journey", "road", "rang"])
    assert by_title[4].chapter > by_title[1].chapter


def test_where_no_chapter_is_named_twenty_steps_make_one(
    database: Database, put: Callable[..., None]
) -> None:
    put({depth: f"text {depth}" for depth in range(1, 41)} | {20: "a bell"})
    shares = {depth: hit.chapter for depth, hit in search(database, ["bell", "text"], limit=99).items()}
    assert len({shares[depth] for depth in range(1, 21)}) == 1
    assert len({shares[depth] for depth in range(21, 41)}) == 1
    assert shares[1] > shares[21]


def test_lore_and_documents_are_found_and_stand_by_themselves(
    database: Database, put: Callable[..., None]
) -> None:
    put({1: "The bell rang.", 2: "Nobody came."})
    with database.unit_of_work() as work:
        work.passages.add(
            [
                Passage(
                    strand_id="main", depth=0, text="The bell of Ys.", kind=PassageKind.LORE, source="ys"
                ),
                *(
                    Passage(
                        strand_id="main", depth=0, text=text, kind=PassageKind.DOCUMENT, source="d", part=part
                    )
                    for part, text in enumerate(("A gong. ", "A drum. ", "A harp. ", "A horn. "))
                ),
            ]
        )
        work.commit()
    with database.unit_of_work(write=False) as work:
        ask = partial(work.passages.search, vector=(), embedder="", segments=MAIN, before=9, limit=9)
        lore, paragraph = sorted(ask(terms={"bell": 1.0}), key=lambda hit: hit.depth)
        assert (lore.kind, lore.source, lore.beside) == (PassageKind.LORE, "ys", lore.bm25)
        assert paragraph.beside == 0.0
        (harp,) = ask(terms={"harp": 1.0})
        assert (harp.kind, harp.part) == (PassageKind.DOCUMENT, 2)
        assert work.passages.read(harp) == "A drum. A harp. A horn."
        (horn,) = ask(terms={"horn": 1.0})
        assert work.passages.read(horn) == "A drum. A harp. A horn."
        (gong,) = ask(terms={"gong": 1.0})
        assert work.passages.read(gong) == "A gong. A drum. A harp."
        assert ask(terms={"harp": 1.0}, kinds=[PassageKind.LORE]) == []
        assert [hit.kind for hit in ask(terms={"bell": 1.0}, kinds=[PassageKind.LORE])] == [PassageKind.LORE]


def test_a_long_paragraph_is_replaced_with_all_its_pieces(
    database: Database, put: Callable[..., None]
) -> None:
    put({1: "short"})
    long = "The keeper counted the boats twice, and one of them was always missing. " * 40
    for text in (long, long + "A zebra.", "short again"):
        with database.unit_of_work() as work:
            work.passages.set_text("main", 1, text)
            work.commit()
        with database.unit_of_work(write=False) as work:
            kept = list(work.passages.of_strand("main"))
            assert "".join(passage.text for passage in kept) == text
            assert [passage.part for passage in kept] == list(range(len(kept)))
    assert search(database, ["zebra"]) == {}
    assert database.check() == []


@pytest.mark.usefixtures("story")
def test_what_no_ancestor_wrote_changes_no_score(
    database: Database, grow: Grow, branch: Callable[..., Strand]
) -> None:
    grow("main", 1, 4, {1: "A bell.", 2: "The sea.", 3: "A gull.", 4: "The sand."})
    branch("side", "main", 3)
    segments = (Segment("side", 3), Segment("main", 3))
    before = search(database, ["bell", "sea"], segments=segments)
    grow("main", 5, 9, dict.fromkeys(range(5, 10), "A bell, a bell by the sea."))
    assert search(database, ["bell", "sea"], segments=segments) == before


def test_nothing_to_look_for_finds_nothing(database: Database, put: Callable[..., None]) -> None:
    put({1: ("a", (1.0,))})
    assert search(database) == {}
    assert search(database, ["", "  ", "?!", "\0"]) == {}
    assert search(database, ["a"], (1.0,), segments=()) == {}
    assert search(database, ["a"], (1.0,), before=1) == {}


def test_only_the_embedder_asked_for_is_compared(database: Database, put: Callable[..., None]) -> None:
    put({1: ("a", (1.0,))})
    put({2: ("b", (1.0,))}, embedder="other")
    assert list(search(database, vector=(1.0,))) == [1]
    assert list(search(database, vector=(1.0,), embedder="other")) == [2]


def test_a_number_that_is_none_is_never_the_nearest(database: Database, put: Callable[..., None]) -> None:
    put({1: ("a", (float("nan"), 0.0)), 2: ("b", (1.0, 0.0)), 3: ("c", (float("inf"), 0.0))})
    assert list(search(database, vector=(1.0, 0.0), limit=1)) == [2]
    assert search(database, ["a"], (1.0, 0.0))[1].likeness is None


@pytest.mark.parametrize(
    "term",
    [
        "x" * 100_000,
        '"',
        '""',
        "'",
        "NEAR(",
        "bell AND",
        "OR",
        "NOT",
        "*",
        "bell*",
        "^bell",
        "text:bell",
        "{text}:bell",
        "strand_id : main",
        "(",
        "a\0b",
        "\ud800",
        "-bell",
        "+",
        "\u202ebell",
        "; DROP TABLE passage",
        "\x1b[2J",
    ],
)
def test_a_persons_text_never_becomes_search_syntax(
    database: Database, put: Callable[..., None], term: str
) -> None:
    put({1: "a bell rang", 2: "quiet sea"})
    assert set(search(database, [term, "sea"])) <= {1, 2}
    assert 2 in search(database, [term, "sea"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x01\x1b[31m needle",
        "ليلة \u202e needle",
        "鐘" * 5000 + " needle",
        '" OR needle NEAR(',
        "\U0001f514 needle",
        "needle " * 150_000,
    ],
)
def test_any_text_is_kept_changed_and_taken_away(
    database: Database, story: Story, put: Callable[..., None], text: str
) -> None:
    put({1: text})
    with database.unit_of_work(write=False) as work:
        assert [passage.text for passage in work.passages.of_strand("main")] == [text]
    if "needle" in text:
        assert search(database, ["needle"])[1].text == text
    assert database.check() == []
    with database.unit_of_work() as work:
        work.passages.set_text("main", 1, "other")
        work.commit()
    assert search(database, ["needle"]) == {}
    assert database.check() == []
    with database.unit_of_work() as work:
        work.stories.delete(story.id)
        work.commit()
    assert database.check() == []


def test_text_around_a_character_that_the_database_may_not_hold(
    database: Database, put: Callable[..., None]
) -> None:
    put({1: "a\0needle"})
    with database.unit_of_work(write=False) as work:
        (kept,) = work.passages.of_strand("main")
    assert kept.text in {"a\0needle", "a\ufffdneedle"}
    assert search(database, ["needle"])[1].text == kept.text
    assert database.check() == []


def test_a_doubled_passage_is_a_conflict(database: Database, put: Callable[..., None]) -> None:
    put({1: "a"})
    with database.unit_of_work() as work, pytest.raises(StepConflict):
        work.passages.add([Passage(strand_id="main", depth=1, text="b")])


def test_missing_vectors_are_named_filled_and_found(database: Database, put: Callable[..., None]) -> None:
    put({1: "a", 2: ("b", (1.0, 0.0)), 3: "c"})
    put({4: ("d", (1.0, 0.0))}, embedder="old")
    segments = (Segment("main", 4),)
    with database.unit_of_work() as work:
        missing = work.passages.missing_vectors(segments, embedder="e", limit=10)
        assert [(gap.depth, gap.text) for gap in missing] == [(1, "a"), (3, "c"), (4, "d")]
        assert len(work.passages.missing_vectors(segments, embedder="e", limit=2)) == 2
        assert work.passages.missing_vectors((Segment("main", 0),), embedder="e", limit=2) == []
        work.passages.set_vectors(
            [
                Passage(strand_id="main", depth=gap.depth, text=gap.text, vector=(0.0, 1.0), embedder="e")
                for gap in missing
            ]
        )
        work.commit()
    assert sorted(search(database, vector=(0.0, 1.0))) == [1, 2, 3, 4]
    with database.unit_of_work(write=False) as work:
        assert work.passages.missing_vectors(segments, embedder="e", limit=10) == []
    assert database.check() == []


def test_a_vector_of_an_older_text_is_left_out(database: Database, put: Callable[..., None]) -> None:
    put({1: "new text"})
    with database.unit_of_work() as work:
        work.passages.set_vectors(
            [
                Passage(strand_id="main", depth=1, text="old text", vector=(1.0,), embedder="e"),
                Passage(strand_id="main", depth=2, text="gone", vector=(1.0,), embedder="e"),
            ]
        )
        work.commit()
    assert search(database, vector=(1.0,)) == {}


def test_what_is_rolled_back_never_reaches_the_shared_vectors(
    database: Database, put: Callable[..., None]
) -> None:
    put({1: ("a", (1.0, 0.0))})
    assert list(search(database, vector=(1.0, 0.0))) == [1]
    with database.unit_of_work() as work:
        work.passages.add([Passage(strand_id="main", depth=2, text="b", vector=(1.0, 0.0), embedder="e")])
        inside = work.passages.search(
            terms={}, vector=(1.0, 0.0), embedder="e", segments=MAIN, before=99, limit=9
        )
        assert sorted(candidate.depth for candidate in inside) == [1, 2]
    assert list(search(database, vector=(1.0, 0.0))) == [1]
    put({2: ("c", (0.0, 1.0))})
    assert search(database, vector=(1.0, 0.0))[2].likeness == 0.0


def test_a_story_that_comes_back_with_the_same_ids_isnt_mixed_with_the_old(
    database: Database, story: Story, put: Callable[..., None]
) -> None:
    put({1: ("a", (1.0, 0.0)), 2: ("b", (1.0, 0.0)), 3: ("c", (1.0, 0.0))})
    search(database, vector=(1.0, 0.0))
    with database.unit_of_work() as work:
        work.stories.delete(story.id)
        work.stories.add(story)
        work.strands.add(Strand(id="main", story_id=story.id, created_at=story.created_at))
        work.commit()
    put({1: ("A", (0.0, 1.0)), 2: "B"})
    found = search(database, vector=(0.0, 1.0))
    assert {depth: (hit.text, hit.likeness) for depth, hit in found.items()} == {1: ("A", 1.0)}


def test_another_databases_changes_are_seen(
    database: Database, put: Callable[..., None], database_url: str
) -> None:
    """Two processes have two caches: each must see what the other wrote."""
    put({1: ("a", (1.0, 0.0)), 2: ("b", (1.0, 0.0))})
    search(database, vector=(1.0, 0.0))
    other = Database(database_url)
    with other.unit_of_work() as work:
        work.passages.set_text("main", 1, "changed")
        work.passages.add([Passage(strand_id="main", depth=3, text="c", vector=(0.5, 0.0), embedder="e")])
        work.commit()
    other.close()
    found = search(database, vector=(1.0, 0.0))
    assert {depth: hit.likeness for depth, hit in found.items()} == {2: 1.0, 3: 0.5}


def test_a_cache_that_is_ahead_of_the_moment_read_names_nothing_that_isnt_there(
    database: Database, put: Callable[..., None]
) -> None:
    put({1: ("a", (1.0, 0.0))})
    with database.unit_of_work(write=False) as reader:
        assert reader.steps.depth("main") == 0  # the moment is fixed here
        put({2: ("b", (1.0, 0.0))})
        search(database, vector=(1.0, 0.0))
        found = reader.passages.search(
            terms={"b": 1.0}, vector=(1.0, 0.0), embedder="e", segments=MAIN, before=99, limit=9
        )
        assert [candidate.depth for candidate in found] == [1]


def test_passages_come_back_with_their_vectors(database: Database, put: Callable[..., None]) -> None:
    put({2: "b", 1: ("a", (0.1, -0.25))})
    with database.unit_of_work(write=False) as work:
        first, second = work.passages.of_strand("main")
    assert first.vector == pytest.approx((0.1, -0.25))
    assert (first.embedder, second.embedder, second.vector) == ("e", "", None)


def test_a_unit_that_wrote_has_a_cache_of_its_own(database: Database, put: Callable[..., None]) -> None:
    put({1: "a"})
    with database.unit_of_work() as work:
        assert work.passages._vectors is database._vectors
        work.passages.set_text("main", 1, "b")
        assert isinstance(work.passages._vectors, VectorCache)
        assert work.passages._vectors is not database._vectors


def test_passages_far_apart_in_the_table_are_found(
    database: Database, story: Story, put: Callable[..., None]
) -> None:
    put({1: "a bell"})
    with database.unit_of_work() as work:
        work.strands.add(
            Strand(id="other", story_id=story.id, parent_id="main", fork_depth=0, created_at=story.created_at)
        )
        work.passages.add([Passage(strand_id="other", depth=depth, text="a bell") for depth in range(1, 99)])
        work.commit()
    put({2: "the bells", 3: "the sea"})
    assert sorted(search(database, ["bell"])) == [1, 2]
