"""The Inspect tab's HTML; everything that a person or a model wrote is escaped here."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from storyloom.app.influence import Effect, Explanation
from storyloom.app.inspecting import Inspection
from storyloom.app.prompt_pieces import Piece
from storyloom.memory.story import Call, Origin, SlotRecord, Step
from storyloom.ui.studio.slots import slot_class, slot_title, source_words

_BEGINNING = 90  # characters of a text's beginning
_PLANNED_BY = {
    Origin.PERSON: "a person’s own plan",
    Origin.OUTLINE: "the outline’s line of the chapter",
    Origin.MODEL: "the planner’s",
    Origin.REPAIRED: "the planner’s, mended",
    Origin.CARRIED: "carried on from before",
    Origin.QUOTED: "quoted from the text",
}
NONE_YET = '<p class="quiet">No paragraph yet: the first one can be looked into here once it is written.</p>'


def paragraph(found: Inspection) -> str:
    """A paragraph, what it was planned to be, and how it was drawn."""
    step = found.step
    is_edited = step.paragraph_origin is Origin.PERSON
    edited = '<p class="quiet">It was edited by hand since.</p>' if is_edited else ""
    text = "".join(f'<p dir="auto">{escape(part)}</p>' for part in step.paragraph.split("\n") if part.strip())
    return (
        f'<h2>Paragraph {step.depth} <span class="quiet">of {found.last:,}</span></h2>'
        f'<div class="text">{text}</div>{edited}'
        f'<dl class="facts">{_facts(step)}</dl>'
    )


def prompt(found: Inspection) -> str:
    """The writer's prompt coloured by slot, the legend, and what each slot holds."""
    if not found.prompt:
        return '<h3>The prompt</h3><p class="quiet">None is kept: no model was asked for this paragraph.</p>'
    records = found.provenance.slots
    body = "".join(_piece(piece, records) for piece in found.prompt)
    return (
        f"<h3>The prompt, word for word</h3>{_head(found)}"
        f'<pre class="prompt" tabindex="0" aria-label="The prompt">{body}</pre>'
        f"<h3>What each part is</h3>{_table(found)}"
    )


def calls(found: Inspection) -> str:
    """Every call that an agent made for the paragraph, folded."""
    first = found.first_call
    rows = "".join(_call(call, is_first=call is first) for call in found.provenance.calls)
    return f"<h3>Every call of an agent</h3>{rows}" if rows else ""


def effects(found: Explanation) -> str:
    """What each remembered item did to a paragraph, strongest first."""
    likelihood = found.likelihood
    told = (
        f"With its whole prompt paragraph {found.depth} has a log-probability of "
        f"{_signed(likelihood.log_probability, 1)} nats over {likelihood.tokens:,} tokens, by {found.model}."
    )
    edited = " It was edited by hand: it is scored as it stands." if found.is_edited else ""
    if not found.effects:
        return f'<p class="quiet">{escape(told + edited)} Nothing remembered stood in its prompt.</p>'
    most = max(abs(effect.change) for effect in found.effects) or 1.0
    rows = "".join(_effect(effect, most) for effect in found.effects)
    return (
        f'<p class="quiet">{escape(told + edited)} With each of these it is so much likelier (+) or less '
        f'likely (−) than without.</p><ul class="effects">{rows}</ul>'
    )


def legend(slots: Iterable[str], rest: str = "") -> str:
    """Which colour is which slot; ``rest`` names what has none."""
    named: dict[str, str] = {}
    for slot in slots:
        kind = slot_class(slot)
        named.setdefault(kind, "Lore" if kind == "slot-lore" else escape(slot_title(slot)))
    marks = "".join(f'<li><span class="swatch {kind}"></span>{title}</li>' for kind, title in named.items())
    if rest:
        marks += f'<li><span class="swatch slot-none"></span>{rest}</li>'
    return f'<ul class="legend">{marks}</ul>'


def link(depth: int) -> str:
    """A paragraph's number that opens it here."""
    return f'<button type="button" class="link" data-pick data-depth="{depth}">paragraph {depth}</button>'


def _facts(step: Step) -> str:
    drawn = f"{step.seconds:.1f} s for all calls, {step.created_at:%-d %B %Y, %H:%M} UTC"
    tokens = f"{step.prompt_tokens:,} read and {step.completion_tokens:,} written"
    facts = [
        ("Planned", step.plan, _PLANNED_BY[step.plan_origin]) if step.plan else ("Planned", "by nobody", ""),
        ("Model", step.model or "none", ""),
        ("Seed", str(step.seed), ""),
        ("Sampling", _sampling(step.sampling), ""),
        ("Took", drawn, ""),
        ("Tokens", tokens, ""),
    ]
    return "".join(
        f'<dt>{name}</dt><dd dir="auto">{escape(value)}{f" <span>{beside}</span>" if beside else ""}</dd>'
        for name, value, beside in facts
    )


def _sampling(sampling: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sampling.items()) or "the model’s own"


def _head(found: Inspection) -> str:
    weaving, call = found.provenance.weaving, found.first_call
    tokens = f"{call.prompt_tokens:,} tokens" if call else ""
    if weaving is not None:
        tokens = f"{weaving.tokens:,} of at most {weaving.budget:,} tokens; weaver: {weaving.strategy}"
    cached = f"; {call.cached_tokens:,} tokens known from before" if call and call.cached_tokens else ""
    told = f'<p class="quiet">{escape(tokens + cached)}.</p>'
    if not found.is_matched:
        return (
            f'{told}<p class="quiet">It can’t be told which of its words came from where: its template does '
            "more than place them, or an older Storyloom wrote it.</p>"
        )
    slots = (record.slot for record in found.provenance.slots if record.entered)
    return told + legend(slots, "the template’s own words")


def _piece(piece: Piece, records: Sequence[SlotRecord]) -> str:
    if piece.place is None:
        return escape(piece.text)
    slot = records[piece.place].slot
    return f'<mark class="{slot_class(slot)}" title="{escape(slot_title(slot))}">{escape(piece.text)}</mark>'


def _table(found: Inspection) -> str:
    weaving = found.provenance.weaving
    why = weaving.lore.get("why", {}) if weaving else {}
    rows = "".join(
        _row(record, str(why.get(record.source, ""))) + _cut(record, record.slot in found.unseen)
        for record in found.provenance.slots
    )
    head = (
        '<tr><th scope="col">Part</th><th scope="col">From</th><th scope="col">Tokens</th>'
        '<th scope="col">Score</th></tr>'
    )
    return f'<div class="table"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _row(record: SlotRecord, why: str) -> str:
    score = "" if record.score is None else f"{record.score:.2f}"
    parts = ", ".join(f"{name} {value:+.2f}" for name, value in record.parts.items())
    beside = f"<span>{escape(parts)}</span>" if parts else ""
    fired = f"<span>{escape(why)}</span>" if why else ""
    return (
        f'<tr><td><span class="swatch {slot_class(record.slot)}"></span>'
        f"{escape(slot_title(record.slot))}</td>"
        f'<td>{_source(record)}{fired}<span dir="auto">{escape(_beginning(record.text))}</span></td>'
        f"<td>{f'{record.tokens:,}' if record.entered else '–'}</td><td>{score}{beside}</td></tr>"
    )


def _cut(record: SlotRecord, is_unseen: bool) -> str:
    """What of an item was left out, and why."""
    if not record.cut:
        return ""
    count = len(record.cut.split())
    much = "All of it" if not record.entered else f"{count:,} word{'' if count == 1 else 's'}"
    why = (
        "the prompt’s template has no place for it"
        if is_unseen
        else "there was no room for more in its part or in the prompt"
    )
    return (
        f'<tr class="cut"><td></td><td colspan="3"><details><summary>{much} cut: {why}</summary>'
        f'<p dir="auto">{escape(record.cut)}</p></details></td></tr>'
    )


def _source(record: SlotRecord) -> str:
    words, depth = source_words(record.source)
    return escape(words) + (link(depth) if depth is not None else "")


def _call(call: Call, *, is_first: bool) -> str:
    cached = f" ({call.cached_tokens:,} known from before)" if call.cached_tokens else ""
    verdict = f" · {escape(call.verdict)}" if call.verdict else ""
    asked = (
        '<p class="quiet">It was asked with the prompt above.</p>'
        if is_first
        else f'<h4>Asked</h4><pre tabindex="0">{escape(call.prompt)}</pre>'
    )
    numbers = f"{call.prompt_tokens:,} tokens read{cached}, {call.completion_tokens:,} written"
    drawn = escape(call.model) + ("" if call.seed is None else f", seed {call.seed}")
    return (
        f"<details><summary>{escape(call.agent.replace('_', ' ').capitalize())} "
        f"<span>{numbers}, {call.seconds:.1f} s{verdict}</span></summary>{asked}"
        f'<h4>Answered</h4><pre tabindex="0">{escape(call.reply)}</pre><p class="quiet">{drawn}</p></details>'
    )


def _effect(effect: Effect, most: float) -> str:
    width = abs(effect.change) / most * 50
    start = 50 if effect.change >= 0 else 50 - width
    kind, sign = ("for", "+") if effect.change >= 0 else ("against", "")
    record = effect.record
    return (
        f'<li><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="{kind}" '
        f'x="{start:.2f}" y="0" width="{width:.2f}" height="8"/><line x1="50" x2="50" y1="0" y2="8"/></svg>'
        f"<b>{sign}{_signed(effect.change, 2)} nats</b> "
        f"<span>{escape(slot_title(record.slot))}, "
        f'{_source(record)}</span><p dir="auto">{escape(_beginning(record.text))}</p></li>'
    )


def _signed(value: float, places: int) -> str:
    return f"{value:.{places}f}".replace("-", "−")


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _BEGINNING else f"{line[:_BEGINNING].rstrip()}…"
