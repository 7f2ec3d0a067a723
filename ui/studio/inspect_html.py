"""The Inspect tab's HTML; everything that a person or a model wrote is escaped here."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from storyloom.app.influence import Effect, Explanation
from storyloom.app.inspecting import Inspection
from storyloom.app.prompt_pieces import Piece
from storyloom.memory.story import Call, Origin, SlotRecord, Step
from storyloom.ui.studio.languages import (
    count,
    decimal,
    gettext,
    gettext_noop,
    minute,
    ngettext,
)
from storyloom.ui.studio.slots import slot_class, slot_title, source_words

_BEGINNING = 90  # characters of a text's beginning
_PLANNED_BY = {
    Origin.PERSON: gettext_noop("a person’s own plan"),
    Origin.OUTLINE: gettext_noop("the outline’s line of the chapter"),
    Origin.MODEL: gettext_noop("the planner’s"),
    Origin.REPAIRED: gettext_noop("the planner’s, mended"),
    Origin.CARRIED: gettext_noop("carried on from before"),
    Origin.QUOTED: gettext_noop("quoted from the text"),
}
# The agents, as their calls are headed.
_AGENTS = {
    "writer": gettext_noop("Writer"),
    "planner": gettext_noop("Planner"),
    "memory_keeper": gettext_noop("Memory keeper"),
    "editor": gettext_noop("Editor"),
    "one_call": gettext_noop("One call"),
}


def none_yet() -> str:
    """That there is no paragraph."""
    return _quiet(gettext("No paragraph yet: the first one can be looked into here once it is written."))


def paragraph(found: Inspection) -> str:
    """A paragraph, what it was planned to be, and how it was drawn."""
    step = found.step
    is_edited = step.paragraph_origin is Origin.PERSON
    edited = _quiet(gettext("It was edited by hand since.")) if is_edited else ""
    text = "".join(f'<p dir="auto">{escape(part)}</p>' for part in step.paragraph.split("\n") if part.strip())
    heading = gettext(
        'Paragraph {depth} <span class="quiet">of {last}</span>', depth=step.depth, last=count(found.last)
    )
    return f'<h2>{heading}</h2><div class="text">{text}</div>{edited}<dl class="facts">{_facts(step)}</dl>'


def prompt(found: Inspection) -> str:
    """The writer's prompt coloured by slot, the legend, and what each slot holds."""
    if not found.prompt:
        none = _quiet(gettext("None is kept: no model was asked for this paragraph."))
        return f"<h3>{gettext('The prompt')}</h3>{none}"
    records = found.provenance.slots
    body = "".join(_piece(piece, records) for piece in found.prompt)
    return (
        f"<h3>{gettext('The prompt, word for word')}</h3>{_head(found)}"
        f'<pre class="prompt" tabindex="0" aria-label="{gettext("The prompt")}">{body}</pre>'
        f"<h3>{gettext('What each part is')}</h3>{_table(found)}"
    )


def calls(found: Inspection) -> str:
    """Every call that an agent made for the paragraph, folded."""
    first = found.first_call
    rows = "".join(_call(call, is_first=call is first) for call in found.provenance.calls)
    return f"<h3>{gettext('Every call of an agent')}</h3>{rows}" if rows else ""


def effects(found: Explanation) -> str:
    """What each remembered item did to a paragraph, strongest first."""
    likelihood = found.likelihood
    told = [
        gettext(
            "With its whole prompt paragraph {depth} has a log-probability of {nats} nats over {tokens} "
            "tokens, by {model}.",
            depth=found.depth,
            nats=_signed(likelihood.log_probability, 1),
            tokens=count(likelihood.tokens),
            model=found.model,
        )
    ]
    if found.is_edited:
        told.append(gettext("It was edited by hand: it is scored as it stands."))
    if not found.effects:
        told.append(gettext("Nothing remembered stood in its prompt."))
        return _quiet(escape(" ".join(told)))
    told.append(gettext("With each of these it is so much likelier (+) or less likely (−) than without."))
    most = max(abs(effect.change) for effect in found.effects) or 1.0
    rows = "".join(_effect(effect, most) for effect in found.effects)
    return f'{_quiet(escape(" ".join(told)))}<ul class="effects">{rows}</ul>'


def legend(slots: Iterable[str], rest: str = "") -> str:
    """Which colour is which slot; ``rest`` names what has none."""
    named: dict[str, str] = {}
    for slot in slots:
        kind = slot_class(slot)
        named.setdefault(kind, escape(slot_title("lore" if kind == "slot-lore" else slot)))
    marks = "".join(f'<li><span class="swatch {kind}"></span>{title}</li>' for kind, title in named.items())
    if rest:
        marks += f'<li><span class="swatch slot-none"></span>{rest}</li>'
    return f'<ul class="legend">{marks}</ul>'


def link(depth: int) -> str:
    """A paragraph's number that opens it here."""
    name = gettext("paragraph {depth}", depth=depth)
    return f'<button type="button" class="link" data-pick data-depth="{depth}">{name}</button>'


def _facts(step: Step) -> str:
    seconds = decimal(step.seconds, 1)
    drawn = gettext("{seconds} s for all calls, {minute}", seconds=seconds, minute=minute(step.created_at))
    read, written = count(step.prompt_tokens), count(step.completion_tokens)
    planned = (step.plan, gettext(_PLANNED_BY[step.plan_origin])) if step.plan else (gettext("by nobody"), "")
    facts = [
        (gettext("Planned"), *planned),
        (gettext("Model"), step.model or gettext("none"), ""),
        (gettext("Seed"), str(step.seed), ""),
        (gettext("Sampling"), _sampling(step.sampling), ""),
        (gettext("Took"), drawn, ""),
        (gettext("Tokens"), gettext("{read} read and {written} written", read=read, written=written), ""),
    ]
    return "".join(
        f'<dt>{name}</dt><dd dir="auto">{escape(value)}{f" <span>{beside}</span>" if beside else ""}</dd>'
        for name, value, beside in facts
    )


def _sampling(sampling: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sampling.items()) or gettext("the model’s own")


def _head(found: Inspection) -> str:
    weaving, call = found.provenance.weaving, found.first_call
    facts = []
    if weaving is not None:
        facts.append(
            gettext(
                "{tokens} of at most {budget} tokens; weaver: {strategy}",
                tokens=count(weaving.tokens),
                budget=count(weaving.budget),
                strategy=weaving.strategy,
            )
        )
    elif call:
        facts.append(gettext("{tokens} tokens", tokens=count(call.prompt_tokens)))
    if call and call.cached_tokens:
        facts.append(gettext("{tokens} tokens known from before", tokens=count(call.cached_tokens)))
    told = _quiet(f"{escape('; '.join(facts))}.")
    if not found.is_matched:
        unknown = gettext(
            "It can’t be told which of its words came from where: its template does more than place them, "
            "or an older Storyloom wrote it."
        )
        return told + _quiet(unknown)
    slots = (record.slot for record in found.provenance.slots if record.entered)
    return told + legend(slots, gettext("the template’s own words"))


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
    columns = (gettext("Part"), gettext("From"), gettext("Tokens"), gettext("Score"))
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(record: SlotRecord, why: str) -> str:
    score = "" if record.score is None else decimal(record.score, 2)
    parts = ", ".join(
        f"{name} {'+' if value >= 0 else ''}{decimal(value, 2)}" for name, value in record.parts.items()
    )
    beside = f"<span>{escape(parts)}</span>" if parts else ""
    fired = f"<span>{escape(why)}</span>" if why else ""
    return (
        f'<tr><td><span class="swatch {slot_class(record.slot)}"></span>'
        f"{escape(slot_title(record.slot))}</td>"
        f"<td>{source_words(record.source, link)}{fired}"
        f'<span dir="auto">{escape(_beginning(record.text))}</span></td>'
        f"<td>{count(record.tokens) if record.entered else '–'}</td><td>{score}{beside}</td></tr>"
    )


def _cut(record: SlotRecord, is_unseen: bool) -> str:
    """What of an item was left out, and why."""
    if not record.cut:
        return ""
    return (
        '<tr class="cut"><td></td><td colspan="3"><details>'
        f"<summary>{_unseen(record) if is_unseen else _no_room(record)}</summary>"
        f'<p dir="auto">{escape(record.cut)}</p></details></td></tr>'
    )


def _unseen(record: SlotRecord) -> str:
    if not record.entered:
        return gettext("All of it cut: the prompt’s template has no place for it")
    return ngettext(
        "{number} word cut: the prompt’s template has no place for it",
        "{number} words cut: the prompt’s template has no place for it",
        len(record.cut.split()),
    )


def _no_room(record: SlotRecord) -> str:
    if not record.entered:
        return gettext("All of it cut: there was no room for more in its part or in the prompt")
    return ngettext(
        "{number} word cut: there was no room for more in its part or in the prompt",
        "{number} words cut: there was no room for more in its part or in the prompt",
        len(record.cut.split()),
    )


def _call(call: Call, *, is_first: bool) -> str:
    agent = _AGENTS.get(call.agent)
    name = gettext(agent) if agent else escape(call.agent.replace("_", " ").capitalize())
    verdict = f" · {escape(call.verdict)}" if call.verdict else ""
    asked = (
        _quiet(gettext("It was asked with the prompt above."))
        if is_first
        else f'<h4>{gettext("Asked")}</h4><pre tabindex="0">{escape(call.prompt)}</pre>'
    )
    model = escape(call.model)
    drawn = model if call.seed is None else gettext("{model}, seed {seed}", model=model, seed=call.seed)
    return (
        f"<details><summary>{name} <span>{_numbers(call)}{verdict}</span></summary>{asked}"
        f'<h4>{gettext("Answered")}</h4><pre tabindex="0">{escape(call.reply)}</pre>{_quiet(drawn)}</details>'
    )


def _numbers(call: Call) -> str:
    read, written = count(call.prompt_tokens), count(call.completion_tokens)
    seconds = decimal(call.seconds, 1)
    if not call.cached_tokens:
        return gettext(
            "{read} tokens read, {written} written, {seconds} s", read=read, written=written, seconds=seconds
        )
    return gettext(
        "{read} tokens read ({cached} known from before), {written} written, {seconds} s",
        read=read,
        cached=count(call.cached_tokens),
        written=written,
        seconds=seconds,
    )


def _effect(effect: Effect, most: float) -> str:
    width = abs(effect.change) / most * 50
    start = 50 if effect.change >= 0 else 50 - width
    kind, sign = ("for", "+") if effect.change >= 0 else ("against", "")
    record, change = effect.record, sign + _signed(effect.change, 2)
    return (
        f'<li><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="{kind}" '
        f'x="{start:.2f}" y="0" width="{width:.2f}" height="8"/><line x1="50" x2="50" y1="0" y2="8"/></svg>'
        f"<b>{gettext('{number} nats', number=change)}</b> "
        f"<span>{escape(slot_title(record.slot))}, "
        f'{source_words(record.source, link)}</span><p dir="auto">{escape(_beginning(record.text))}</p></li>'
    )


def _quiet(told: str) -> str:
    return f'<p class="quiet">{told}</p>'


def _signed(value: float, places: int) -> str:
    return decimal(value, places).replace("-", "−")


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _BEGINNING else f"{line[:_BEGINNING].rstrip()}…"
