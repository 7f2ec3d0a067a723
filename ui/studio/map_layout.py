"""Where each strand of a story is drawn: a row of its own, below the strand that it leaves."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Line:
    """A strand as a layout sees it: it leaves ``parent_id`` after step ``fork`` and ends at ``end``."""

    strand_id: str
    parent_id: str | None
    fork: int
    end: int


@dataclass(frozen=True, slots=True)
class Lane:
    """A strand's place.

    Attributes:
        strand_id: the strand.
        row: its row, from 0.
        start: the depth at which it leaves the lane in ``parent``.
        end: the depth at which it ends.
        parent: the row that it leaves; None for the first.
    """

    strand_id: str
    row: int
    start: int
    end: int
    parent: int | None


def without(lines: Sequence[Line], hidden: Collection[str]) -> list[Line]:
    """The lines but for the hidden ones; what leaves a hidden one leaves the strand that this one leaves."""
    known = {line.strand_id: line for line in lines}
    return [_rerouted(line, known, hidden) for line in lines if line.strand_id not in hidden]


def lay_out(lines: Sequence[Line]) -> tuple[Lane, ...]:
    """A lane a strand, from the first row on.

    Whoever leaves late stands close to the strand that it leaves, and below it all that leaves it in turn:
    so no line that leads down to a row crosses another. A strand that forks from a step which its parent
    only inherited is drawn from the strand that the step belongs to.

    Args:
        lines: the strands; one whose parent isn't among them starts at the left.
    """
    known = {line.strand_id: line for line in lines}
    leaving: dict[str | None, list[tuple[int, Line]]] = {}
    for line in lines:
        parent, start = _leaves(line, known)
        leaving.setdefault(parent, []).append((start, line))
    return tuple(_rows(leaving))


def _rerouted(line: Line, known: dict[str, Line], hidden: Collection[str]) -> Line:
    parent = known.get(line.parent_id or "")
    while parent is not None and parent.strand_id in hidden:
        line = replace(line, parent_id=parent.parent_id, fork=min(line.fork, parent.fork))
        parent = known.get(parent.parent_id or "")
    return line


def _leaves(line: Line, known: dict[str, Line]) -> tuple[str | None, int]:
    """The strand that owns the step from which a strand forks, and that step."""
    start = line.fork
    parent = known.get(line.parent_id or "")
    while parent is not None and parent.parent_id in known and start <= parent.fork:
        parent = known[parent.parent_id]
    return (parent.strand_id, start) if parent is not None else (None, 0)


def _rows(leaving: dict[str | None, list[tuple[int, Line]]]) -> Iterator[Lane]:
    """Depth first; what leaves a strand last is drawn first."""
    waiting = [(None, start, line) for start, line in _late_last(leaving.get(None, []))]
    todo: list[tuple[int | None, int, Line]] = list(waiting)
    row = 0
    while todo:
        parent, start, line = todo.pop()
        yield Lane(line.strand_id, row, start, max(start, line.end), parent)
        todo += [(row, at, child) for at, child in _late_last(leaving.get(line.strand_id, []))]
        row += 1


def _late_last(children: list[tuple[int, Line]]) -> list[tuple[int, Line]]:
    """So that a stack gives the latest first, and of equals the one that was given first."""
    return sorted(children, key=lambda child: child[0], reverse=True)[::-1]
