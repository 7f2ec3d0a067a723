from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.ui.studio.map_layout import Lane, Line, lay_out


@st.composite
def trees(draw: st.DrawFn, most: int = 200) -> list[Line]:
    """Strands as a story can have them: each forks from a step that its parent has."""
    lines = [Line("0", None, 0, draw(st.integers(0, 40)))]
    for number in range(1, draw(st.integers(1, most))):
        parent = lines[draw(st.integers(0, number - 1))]
        fork = draw(st.integers(0, parent.end))
        lines.append(Line(str(number), parent.strand_id, fork, fork + draw(st.integers(0, 9))))
    return lines


def crosses(lane: Lane, other: Lane) -> bool:
    """Whether the line that leads down to a lane crosses the line of another lane, or lies on its name."""
    assert lane.parent is not None
    return lane.parent < other.row < lane.row and other.start < lane.start


@settings(max_examples=60, deadline=None)
@given(lines=trees())
def test_lanes_never_overlap_and_parents_stand_before_children(lines: list[Line]) -> None:
    lanes = lay_out(lines)
    assert [lane.row for lane in lanes] == list(range(len(lines)))
    assert sorted(lane.strand_id for lane in lanes) == sorted(line.strand_id for line in lines)
    forks = {line.strand_id: line.fork for line in lines}
    for lane in lanes[1:]:
        assert lane.parent is not None
        assert lane.parent < lane.row
        parent = lanes[lane.parent]
        assert parent.start <= lane.start <= parent.end
        assert lane.start == forks[lane.strand_id]
        assert not any(crosses(lane, other) for other in lanes)


def test_what_leaves_late_stands_close_and_a_shared_step_belongs_to_its_strand() -> None:
    lanes = lay_out(
        [
            Line("main", None, 0, 9),
            Line("early", "main", 2, 4),
            Line("late", "main", 6, 8),
            Line("of-late", "late", 7, 7),
            Line("inherited", "late", 3, 5),
        ]
    )
    assert lanes == (
        Lane("main", 0, 0, 9, None),
        Lane("late", 1, 6, 8, 0),
        Lane("of-late", 2, 7, 7, 1),
        Lane("inherited", 3, 3, 5, 0),
        Lane("early", 4, 2, 4, 0),
    )


def test_two_hundred_strands_in_a_chain_are_two_hundred_rows() -> None:
    chain = [Line("0", None, 0, 1)] + [Line(str(n), str(n - 1), n, n + 1) for n in range(1, 200)]
    assert [lane.parent for lane in lay_out(chain)] == [None, *range(199)]


def test_a_strand_whose_parent_isnt_shown_starts_at_the_left() -> None:
    assert lay_out([Line("b", "hidden", 4, 6)]) == (Lane("b", 0, 0, 6, None),)
    assert lay_out([]) == ()
