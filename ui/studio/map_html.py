"""The Map tab's HTML; everything that a person or a model wrote is escaped here."""

from collections.abc import Collection, Sequence
from html import escape

from storyloom.app.strands import Branch, Comparison, Pair
from storyloom.ui.studio.languages import count, gettext, ngettext
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
    drawn = "".join(_lane(lane, deepest, _kind(known[lane.strand_id], open_id)) for lane in upwards)
    return (
        f'<div class="map" style="--rows: {len(lanes)}"><svg viewBox="0 0 {_WIDTH} {len(lanes) * _ROW}" '
        f'preserveAspectRatio="none" aria-hidden="true">{drawn}</svg><ol>{rows}</ol></div>'
    )


def comparison(found: Comparison) -> str:
    """Two strands side by side from their fork on."""
    left, right = escape(strand_title(found.left)), escape(strand_title(found.right))
    rows = "".join(map(_pair, found.pairs))
    heads = f'<div class="pair heads"><h4 dir="auto">{left}</h4><h4 dir="auto">{right}</h4></div>'
    told = f'<h3>{gettext("Side by side")}</h3><p class="quiet">{_alike(found)}</p>'
    return f"{told}{heads}{rows}" if rows else told


def _alike(found: Comparison) -> str:
    """How far two strands are the same, and how far they are shown."""
    depth, shown = count(found.shared), found.shared + len(found.pairs)
    if not found.pairs:
        if not found.shared:
            return gettext("Neither of them has a paragraph.")
        return gettext("They are the same up to paragraph {depth}: neither goes on from there.", depth=depth)
    same = gettext("They are different from the beginning.")
    if found.shared:
        same = gettext("They are the same up to paragraph {depth}.", depth=depth)
    if shown == found.longest:
        return same
    more = gettext("Shown up to paragraph {shown} of {of}.", shown=count(shown), of=count(found.longest))
    return f"{same} {more}"


def _line(branch: Branch) -> Line:
    strand = branch.strand
    return Line(strand.id, strand.parent_id, strand.fork_depth, branch.depth)


def _row(branch: Branch, is_open: bool) -> str:
    strand = branch.strand
    here = ' aria-current="true"' if is_open else ""
    told = [ngettext("{number} paragraph", "{number} paragraphs", branch.depth)]
    if is_open:
        told.insert(0, gettext("open"))
    if strand.archived:
        told.insert(0, gettext("archived"))
    if strand.parent_id:
        own, fork = count(branch.own), count(strand.fork_depth)
        told.append(gettext("{own} of its own, from paragraph {fork}", own=own, fork=fork))
    return (
        f'<li{here}><button type="button" dir="auto" data-pick data-strand="{escape(strand.id)}">'
        f"{escape(strand_title(strand))}</button><span>{' · '.join(told)}</span></li>"
    )


def _kind(branch: Branch, open_id: str) -> str:
    """The style sheet's class of a strand's line."""
    if branch.strand.id == open_id:
        return "open"
    return "archived" if branch.strand.archived else ""


def _lane(lane: Lane, deepest: int, kind: str) -> str:
    """The way down from the strand that it leaves, its own line, and a dot at its end."""
    middle = lane.row * _ROW + _ROW // 2
    start, end = (round(depth / deepest * _WIDTH, 1) for depth in (lane.start, lane.end))
    above = "" if lane.parent is None else f"M{start:g} {lane.parent * _ROW + _ROW // 2}V{middle}"
    classed = f' class="{kind}"' if kind else ""
    return (
        f'<g{classed} data-pick data-strand="{escape(lane.strand_id)}">'
        f'<path class="line" d="{above}M{start:g} {middle}H{end:g}"/>'
        f'<path class="end" d="M{end:g} {middle}h0.01"/>'
        f'<path class="hit" d="M{start:g} {middle}H{end:g}"/></g>'
    )


def _pair(pair: Pair) -> str:
    both = marked(pair.left, pair.right) if pair.left and pair.right else None
    left, right = both or (_told(pair.left), _told(pair.right))
    return (
        f"<h5>{gettext('Paragraph {depth}', depth=count(pair.depth))}</h5>"
        f'<div class="pair"><div dir="auto">{left}</div><div dir="auto">{right}</div></div>'
    )


def _told(text: str | None) -> str:
    return f'<span class="quiet">{gettext("It ends before.")}</span>' if text is None else escape(text)
