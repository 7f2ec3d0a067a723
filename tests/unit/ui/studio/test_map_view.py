import pytest

from storyloom.memory.errors import InvalidText, StrandNotFound
from storyloom.ui.studio import map_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Choices, Visible
from storyloom.ui.studio.writers import Writing
from tests.unit.ui.studio.telling import began, branched, went_on


def test_the_tree_is_there_when_the_tab_is_opened(house: House) -> None:
    main = began(house, 3)
    side = went_on(house, branched(house, main, 2))
    view = map_view.opened(house, side)
    assert view.tree is not None
    assert view.tree.count("<li") == 2
    assert (
        f'<li aria-current="true"><button type="button" dir="auto" data-pick data-strand="{side.strand_id}"'
        in (view.tree)
    )
    assert "1 of its own, from paragraph 2" in view.tree
    assert isinstance(view.strand, Choices)
    assert view.strand.chosen == side.strand_id
    assert [name.rsplit(" · ", 1)[0] for name, _ in view.strand.options] == [
        "The story · 3",
        "From paragraph 2 · 3",
    ]
    assert (view.name, view.comparison, view.more) == ("", "", Visible(False))


def test_a_click_opens_a_strand_in_the_write_tab(house: House) -> None:
    main = began(house, 2)
    side = branched(house, main, 1)
    view = map_view.picked(house, side, {"pick": "", "strand": main.strand_id})
    assert view.tab == "write"
    assert view.place == Place(main.story_id, main.strand_id)
    with pytest.raises(StrandNotFound):
        map_view.go_to(house, side, "nothing-like-it")


def test_a_strand_isnt_left_while_it_is_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    main = began(house)
    writing = Writing()
    monkeypatch.setattr(house.writers, "get", lambda _id: writing)
    view = map_view.go_to(house, main, main.strand_id)
    assert "being written" in (view.notice or "")
    assert (view.place, view.tab) == (None, None)


def test_a_strand_is_named(house: House) -> None:
    main = began(house, 2)
    side = branched(house, main, 1)
    view = map_view.rename(house, main, side.strand_id, "The other door")
    assert "The other door" in (view.tree or "")
    assert "The other door" in (view.told or "")
    assert view.name == "The other door"
    assert isinstance(view.strand, Choices)
    assert view.strand.chosen == side.strand_id
    assert map_view.chosen(house, main, main.strand_id).name == ""
    assert map_view.chosen(house, main, side.strand_id).name == "The other door"
    with pytest.raises(InvalidText):
        map_view.rename(house, main, side.strand_id, "x" * 5000)


def test_strands_stand_side_by_side_a_few_paragraphs_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_view, "PAIRS", 1)
    main = began(house, 3)
    side = went_on(house, branched(house, main, 1), plan="Mara rows out.")
    view = map_view.compare(house, main, side.strand_id)
    assert "the same up to paragraph 1. Shown up to paragraph 2 of 3." in (view.comparison or "")
    assert view.more == Visible(True)
    assert view.compared == (side.strand_id, 1)
    wide = map_view.more(house, main, view.compared)
    assert "It ends before." in (wide.comparison or "")
    assert wide.more == Visible(False)
    with pytest.raises(InvalidText, match="choose another"):
        map_view.compare(house, main, main.strand_id)
