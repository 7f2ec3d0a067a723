import pytest

from storyloom.memory.errors import InvalidText, StrandNotFound
from storyloom.ui.studio import map_view, write_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Choices, Visible
from storyloom.ui.studio.writing import Writing
from tests.unit.ui.studio.telling import began, branched, went_on


def test_the_tree_is_there_when_the_tab_is_opened(house: House) -> None:
    main = began(house, 3)
    side = went_on(house, branched(house, main, 2))
    view = map_view.opened(house, side, None)
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
    view = map_view.rename(house, main, side.strand_id, "The other door", False)
    assert "The other door" in (view.tree or "")
    assert "The other door" in (view.told or "")
    assert view.name == "The other door"
    assert isinstance(view.strand, Choices)
    assert view.strand.chosen == side.strand_id
    assert map_view.chosen(house, main, main.strand_id).name == ""
    assert map_view.chosen(house, main, side.strand_id).name == "The other door"
    with pytest.raises(InvalidText):
        map_view.rename(house, main, side.strand_id, "x" * 5000, False)


def names(choices: Choices | None) -> list[str]:
    assert isinstance(choices, Choices)
    return [name.split(" · ", maxsplit=1)[0] for name, _ in choices.options]


def test_an_archived_strand_is_out_of_the_way_until_it_is_asked_for(house: House) -> None:
    main = began(house, 3)
    side = went_on(house, branched(house, main, 1))
    child = branched(house, side, 2)
    view = map_view.archive(house, main, side.strand_id, False)
    assert (view.tree or "").count("<li") == 2
    assert names(view.strand) == names(view.strands) == ["The story", "From paragraph 2"]
    assert isinstance(view.strand, Choices)
    assert view.strand.chosen == main.strand_id
    assert (view.archive, view.bring_back, view.show_archived) == (
        Visible(True),
        Visible(False),
        Visible(True),
    )
    assert "“From paragraph 1” is archived" in (view.told or "")
    assert house.studio.show(child.story_id, child.strand_id).steps[1].strand_id == side.strand_id

    shown = map_view.opened(house, main, True)
    assert "archived · 2 paragraphs" in (shown.tree or "")
    assert names(shown.strand) == ["The story", "From paragraph 1", "From paragraph 2"]
    picked = map_view.chosen(house, main, side.strand_id)
    assert (picked.told, picked.notice) == (None, None)
    assert (picked.archive, picked.bring_back) == (Visible(False), Visible(True))
    back = map_view.bring_back(house, main, side.strand_id, True)
    assert "archived" not in (back.tree or "")
    assert names(back.strands) == ["The story", "From paragraph 1", "From paragraph 2"]
    assert (back.archive, back.show_archived) == (Visible(True), Visible(False))


def test_neither_the_main_strand_nor_the_open_one_is_archived(house: House) -> None:
    main = began(house, 2)
    side = branched(house, main, 1)
    for place, strand, said in (
        (side, side.strand_id, "open strand"),
        (side, main.strand_id, "main strand can't be archived"),
    ):
        with pytest.raises(InvalidText, match=said):
            map_view.archive(house, place, strand, False)
    assert not any(one.strand.archived for one in house.studio.strands.tree(main.story_id))


def test_an_archived_strand_that_is_open_stays_in_sight(house: House) -> None:
    main = began(house, 2)
    side = branched(house, main, 1)
    map_view.archive(house, main, side.strand_id, False)
    view = map_view.opened(house, side, False)
    assert "archived · open · 1 paragraph" in (view.tree or "")
    assert (view.archive, view.bring_back) == (Visible(False), Visible(True))
    for place, strands in ((side, 2), (main, 1)):
        assert len(write_view.opened(house, place).strands or ()) == strands
    with pytest.raises(StrandNotFound):
        map_view.bring_back(house, side, "nothing-like-it", False)


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
