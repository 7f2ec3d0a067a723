"""Charts over a story's paragraphs as inline SVG, each made by a pure function of its moments."""

from collections.abc import Callable, Iterable, Sequence
from html import escape

from storyloom.app.inspecting import History
from storyloom.memory.measures import Moment
from storyloom.ui.studio.inspect_html import legend
from storyloom.ui.studio.languages import count, decimal, gettext, ngettext
from storyloom.ui.studio.slots import slot_class, slot_title

# A chart's own units: the drawing is stretched to the width of the page.
_STEP, _BAR, _HEIGHT = 10, 8, 100
_LEAST_STEPS = 30  # a few bars don't grow to blocks


def charts(history: History) -> str:
    """All charts, and what they leave out."""
    moments = history.moments
    if not moments:
        return ""
    shown = ""
    if len(moments) < history.last:
        told = gettext(
            "The last {shown} of {all} paragraphs are shown.",
            shown=count(len(moments)),
            all=count(history.last),
        )
        shown = f'<p class="quiet">{told}</p>'
    return (
        f"<h3>{gettext('Over the story')}</h3>{shown}{budget(moments)}"
        + bars(gettext("Short-term memory"), _words, moments, lambda one: one.memory_words)
        + reach(moments)
        + bars(gettext("Time a paragraph took"), _seconds, moments, lambda one: one.seconds)
        + bars(gettext("Speed"), _speed, moments, lambda one: one.tokens_a_second)
    )


def budget(moments: Sequence[Moment]) -> str:
    """Each prompt as a bar of its slots, one upon the other."""
    most = max(max(sum(one.slots.values()) + one.template_tokens for one in moments), 1)
    drawn = "".join(_column(place, one, most) for place, one in enumerate(moments))
    slots = dict.fromkeys(slot for one in moments for slot in one.slots)
    room = max(one.budget for one in moments)
    if room:
        scale = gettext(
            "{tokens} tokens at most, of {room} that there is room for", tokens=count(most), room=count(room)
        )
    else:
        scale = gettext("{tokens} tokens at most", tokens=count(most))
    last = moments[-1]
    told = _last(last, sum(last.slots.values()) + last.template_tokens)
    beneath = legend(slots, gettext("the template"))
    return _figure(gettext("The prompt"), scale, told, moments, drawn, beneath)


def bars(
    title: str, unit: Callable[[float], str], moments: Sequence[Moment], value: Callable[[Moment], float]
) -> str:
    """A bar a paragraph.

    Args:
        title: what is measured.
        unit: a value in words.
        moments: the paragraphs.
        value: what is measured of each.
    """
    values = [value(one) for one in moments]
    most = max(*values, 0.0) or 1.0
    drawn = "".join(
        _group(place, one, unit(size), [_rect(place, 0, size / most, "bar")])
        for place, (one, size) in enumerate(zip(moments, values, strict=True))
    )
    scale = gettext("{amount} at most", amount=unit(max(values)))
    return _figure(title, scale, _last(moments[-1], values[-1]), moments, drawn)


def reach(moments: Sequence[Moment]) -> str:
    """How far back what was recalled lies: a mark an item, and a line to the farthest."""
    most = max(one.reach for one in moments)
    if not most:
        nothing = f'<span class="quiet">{gettext("Nothing was recalled yet.")}</span>'
        return f"<figure><figcaption><b>{gettext('Recall')}</b>{nothing}</figcaption></figure>"
    drawn = "".join(_reaches(place, one, most) for place, one in enumerate(moments) if one.recalled)
    scale = ngettext(
        "reaches {number} paragraph back at most", "reaches {number} paragraphs back at most", most
    )
    last = moments[-1]
    told = gettext("paragraph {depth} reaches {number} back", depth=last.depth, number=count(last.reach))
    return _figure(gettext("Recall"), scale, told, moments, drawn)


def _column(place: int, moment: Moment, most: int) -> str:
    below, rects, told = 0, [], []
    for slot, tokens in (*moment.slots.items(), ("", moment.template_tokens)):
        kind = slot_class(slot) if slot else "slot-none"
        rects.append(_rect(place, below / most, tokens / most, kind))
        told.append(f"{escape(slot_title(slot)) if slot else gettext('template')} {count(tokens)}")
        below += tokens
    whole = gettext("{tokens} tokens ({parts})", tokens=count(below), parts=", ".join(told))
    return _group(place, moment, whole, rects)


def _reaches(place: int, moment: Moment, most: int) -> str:
    marks = [_rect(place, (moment.depth - depth) / most - 0.03, 0.03, "mark") for depth in moment.recalled]
    recalled = ", ".join(_paragraph(depth) for depth in sorted(moment.recalled))
    told = gettext("recalls {paragraphs}", paragraphs=recalled)
    return _group(place, moment, told, [_rect(place, 0, moment.reach / most, "stem"), *marks])


def _group(place: int, moment: Moment, told: str, rects: Iterable[str]) -> str:
    """A paragraph's part of a drawing: a click opens the paragraph, and resting on it tells the numbers."""
    whole = f'<rect class="hit" x="{place * _STEP}" y="0" width="{_STEP}" height="{_HEIGHT}"/>'
    title = gettext("Paragraph {depth}: {told}", depth=moment.depth, told=told)
    return f'<g data-pick data-depth="{moment.depth}"><title>{title}</title>{"".join(rects)}{whole}</g>'


def _rect(place: int, below: float, height: float, kind: str) -> str:
    """A bar between two heights, both as shares of the drawing."""
    below, height = max(0.0, below) * _HEIGHT, height * _HEIGHT
    return (
        f'<rect class="{kind}" x="{place * _STEP + (_STEP - _BAR) / 2:g}" y="{_HEIGHT - below - height:.2f}" '
        f'width="{_BAR}" height="{height:.2f}"/>'
    )


def _figure(title: str, scale: str, told: str, moments: Sequence[Moment], drawn: str, below: str = "") -> str:
    """A drawing with what its height and its width mean."""
    width = max(len(moments), _LEAST_STEPS) * _STEP
    last = f"<span>{_paragraph(moments[-1].depth)}</span>" if len(moments) >= _LEAST_STEPS else ""
    return (
        f'<figure><figcaption><b>{title}</b><span class="quiet">{scale}</span></figcaption>'
        f'<svg viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{title}: {scale}; {told}.">{drawn}</svg>'
        f'<div class="axis"><span>{_paragraph(moments[0].depth)}</span>{last}</div>{below}</figure>'
    )


def _last(moment: Moment, value: float) -> str:
    return gettext("paragraph {depth} has {number}", depth=moment.depth, number=_number(value))


def _paragraph(depth: int) -> str:
    return gettext("paragraph {depth}", depth=count(depth))


def _words(value: float) -> str:
    return ngettext("{number} word", "{number} words", int(value))


def _seconds(value: float) -> str:
    return gettext("{number} seconds", number=_number(value))


def _speed(value: float) -> str:
    return gettext("{number} tokens a second", number=_number(value))


def _number(value: float) -> str:
    return count(round(value)) if value >= 100 or value == int(value) else decimal(value, 1)
