"""The Map tab's HTML; everything that a person or a model wrote is escaped here."""

from collections.abc import Collection, Sequence
from html import escape

from storyloom.app.strands import Branch, Comparison, Pair
from storyloom.ui.studio.map_diff import marked
from storyloom.ui.studio.map_layout import Lane, Line, lay_out, without
from storyloom.ui.studio.write_view import strand_title

_WIDTH, _ROW = 1000, 100  # the drawing's own units: it is stretched to its place


def tree(branches: Sequence[Branch], open_id: str, hidden: Collection[str] = ()) -> str:
    """The strands of a story but for the hidden ones, a row each, beside a drawing of where they fork."""
    lanes = lay_out(without([_line(branch) for branch in branches], hidden))
    deepest = max((lane.end for lane in lanes), default=0) or 1
    known = {branch.strand.id: branch for branch in branches}
    rows = "".join(_row(known[lane.strand_id], lane.strand_id == open_id) for lane in lanes)
    upwards = sorted(lanes, key=lambda lane: lane.strand_id == open_id)  # the open one lies above all
    drawn = "".join(_lane(lane, deepest, lane.strand_id == open_id) for lane in upwards)
    return (
        f'<div class="map" style="--rows: {len(lanes)}"><svg viewBox="0 0 {_WIDTH} {len(lanes) * _ROW}" '
        f'preserveAspectRatio="none" aria-hidden="true">{drawn}</svg><ol>{rows}</ol></div>'
    )


def comparison(found: Comparison) -> str:
    """Two strands side by side from their fork on."""
    left, right = escape(strand_title(found.left)), escape(strand_title(found.right))
    same = f"the same up to paragraph {found.shared:,}" if found.shared else "different from the beginning"
    if not found.pairs:
        return f'<h3>Side by side</h3><p class="quiet">They are {same}: neither goes on from there.</p>'
    rows = "".join(map(_pair, found.pairs))
    shown = found.shared + len(found.pairs)
    more = f" Shown up to paragraph {shown:,} of {found.longest:,}." if shown < found.longest else ""
    return (
        f'<h3>Side by side</h3><p class="quiet">They are {same}.{more}</p>'
        f'<div class="pair heads"><h4 dir="auto">{left}</h4><h4 dir="auto">{right}</h4></div>{rows}'
    )


def _line(branch: Branch) -> Line:
    strand = branch.strand
    return Line(strand.id, strand.parent_id, strand.fork_depth, branch.depth)


def _row(branch: Branch, is_open: bool) -> str:
    strand = branch.strand
    here = ' aria-current="true"' if is_open else ""
    told = ["open", _count(branch.depth)] if is_open else [_count(branch.depth)]
    if strand.archived:
        told.insert(0, "archived")
    if strand.parent_id:
        told.append(f"{branch.own:,} of its own, from paragraph {strand.fork_depth:,}")
    return (
        f'<li{here}><button type="button" dir="auto" data-pick data-strand="{escape(strand.id)}">'
        f"{escape(strand_title(strand))}</button><span>{' · '.join(told)}</span></li>"
    )


def _lane(lane: Lane, deepest: int, is_open: bool) -> str:
    """The way down from the strand that it leaves, its own line, and a dot at its end."""
    middle = lane.row * _ROW + _ROW // 2
    start, end = (round(depth / deepest * _WIDTH, 1) for depth in (lane.start, lane.end))
    above = "" if lane.parent is None else f"M{start:g} {lane.parent * _ROW + _ROW // 2}V{middle}"
    kind = ' class="open"' if is_open else ""
    return (
        f'<g{kind} data-pick data-strand="{escape(lane.strand_id)}">'
        f'<path class="line" d="{above}M{start:g} {middle}H{end:g}"/>'
        f'<path class="end" d="M{end:g} {middle}h0.01"/>'
        f'<path class="hit" d="M{start:g} {middle}H{end:g}"/></g>'
    )


def _pair(pair: Pair) -> str:
    both = marked(pair.left, pair.right) if pair.left and pair.right else None
    left, right = both or (_told(pair.left), _told(pair.right))
    return (
        f'<h5>Paragraph {pair.depth:,}</h5><div class="pair"><div dir="auto">{left}</div>'
        f'<div dir="auto">{right}</div></div>'
    )


def _told(text: str | None) -> str:
    return '<span class="quiet">It ends before.</span>' if text is None else escape(text)


def _count(paragraphs: int) -> str:
    return f"{paragraphs:,} paragraph{'' if paragraphs == 1 else 's'}"
