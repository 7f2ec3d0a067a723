"""Which steps a strand consists of: its own, and those that it shares with the strands it forked from."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, literal
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import Select

from storyloom.memory.errors import StrandNotFound
from storyloom.memory.story import Segment
from storyloom.storage.tables import StepRow, StrandRow


class Span(NamedTuple):
    """The steps of ``strand_id`` deeper than ``after`` and up to ``depth`` belong to the strand asked for."""

    strand_id: str
    after: int
    depth: int


def spans(session: Session, strand_id: str) -> list[Span]:
    """A strand's own span first (empty when it has no step yet), then its ancestors' that aren't empty.

    A strand may fork from a step that its parent only inherited: then the parent adds nothing, and the
    grandparent is cut at the earlier of both forks.

    Raises:
        StrandNotFound: there is no such strand.
    """
    line = _line(session, strand_id)
    if not line:
        raise StrandNotFound(
            f"There is no strand {strand_id!r}. `storyloom branches STORY` lists a story's strands."
        )
    own_id, fork_depth = line[0]
    own_head = session.exec(_OWN_HEAD, params={"strand_id": own_id}).one()
    found = [Span(own_id, fork_depth, fork_depth if own_head is None else own_head)]
    cut = fork_depth
    for ancestor_id, ancestor_fork in line[1:]:
        if cut > ancestor_fork:
            found.append(Span(ancestor_id, ancestor_fork, cut))
        cut = min(cut, ancestor_fork)
    return found


def segments(session: Session, strand_id: str) -> tuple[Segment, ...]:
    """The same as ``spans``, as recall and search take it; the first segment's depth is the head's."""
    return tuple(Segment(span.strand_id, span.depth) for span in spans(session, strand_id))


def owner(segments: Sequence[Segment], depth: int) -> str:
    """The strand that a step through ancestry was written on; ``depth`` is at most the head's."""
    return next(one.strand_id for one in reversed(segments) if depth <= one.depth)


def head_depth(session: Session, strand_id: str) -> int:
    """Depth of the strand's last step, its own or shared; 0 when the story has none yet."""
    return spans(session, strand_id)[0].depth


def _line(session: Session, strand_id: str) -> list[tuple[str, int]]:
    """(id, fork depth) of the strand, its parent, and so on up to the main strand."""
    return [(row[0], row[1]) for row in session.exec(_LINE, params={"strand_id": strand_id})]


def _line_query() -> Select[str, int]:
    columns = (col(StrandRow.id), col(StrandRow.parent_id), col(StrandRow.fork_depth))
    own = select(*columns, literal(0).label("level")).where(StrandRow.id == bindparam("strand_id"))
    line = own.cte("line", recursive=True)
    parent = select(*columns, line.c.level + 1).join(line, col(StrandRow.id) == line.c.parent_id)
    line = line.union_all(parent)
    return select(line.c.id, line.c.fork_depth).order_by(line.c.level)


# Built once: they run several times a step, and building them takes longer than running them.
_LINE = _line_query()
_OWN_HEAD = select(func.max(StepRow.depth)).where(StepRow.strand_id == bindparam("strand_id"))
