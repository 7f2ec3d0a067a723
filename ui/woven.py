"""What went into a step's prompt, as lines for a terminal. Knows no command."""

from collections.abc import Iterator, Sequence

from storyloom.memory.story import Call, Provenance, SlotRecord, Weaving

_SHOWN = 60  # characters of a text's beginning
_UNKNOWN = "It isn't known how this prompt was woven: an older Storyloom wrote it."


def lines(found: Provenance) -> Iterator[str]:
    """How the prompt was woven, a line a text with its source, tokens and score, and every call."""
    yield "— what went into it —"
    yield _woven(found.weaving)
    yield ""
    yield from _table(found)
    yield ""
    yield "— every call of this step —"
    yield from _aligned([_call(call) for call in found.calls], right=frozenset({1, 2, 3}))


def _woven(weaving: Weaving | None) -> str:
    if weaving is None:
        return _UNKNOWN
    order: Sequence[str] = weaving.values.get("order", ())
    twice = [name for name in dict.fromkeys(order) if order.count(name) > 1]
    told = f"{weaving.strategy}: {weaving.tokens:,} of at most {weaving.budget:,} tokens"
    return told + (f"; read twice: {', '.join(twice)}" if twice else "")


def _table(found: Provenance) -> Iterator[str]:
    """A line a text, and below it what of it was cut."""
    why = found.weaving.lore.get("why", {}) if found.weaving else {}
    rows: list[tuple[str, ...]] = [("slot", "tokens", "score", "source", "text, or why")]
    rows += [_row(slot, why.get(slot.source, "")) for slot in found.slots]
    head, *told = _aligned(rows, right=frozenset({1, 2}))
    yield head
    for slot, line in zip(found.slots, told, strict=True):
        yield line
        if slot.cut:
            whole = "all of it" if not slot.entered else f"{len(slot.cut.split()):,} words"
            yield f"{'':<4}cut, {whole}: {_beginning(slot.cut)}"


def _row(slot: SlotRecord, why: str) -> tuple[str, ...]:
    parts = ", ".join(f"{name} {value:+.2f}" for name, value in slot.parts.items())
    text = _beginning(slot.text) if slot.entered else ""
    return (
        slot.slot,
        f"{slot.tokens:,}" if slot.entered else "–",
        "" if slot.score is None else f"{slot.score:.2f}",
        slot.source,
        "  ".join(part for part in (f"[{parts}]" if parts else "", f"[{why}]" if why else "", text) if part),
    )


def _call(call: Call) -> tuple[str, ...]:
    return (
        call.agent,
        f"{call.prompt_tokens:,} tokens read",
        f"({call.cached_tokens:,} kept from before)",
        f"{call.completion_tokens:,} written",
        f"{call.seconds:.1f} s",
        call.verdict,
    )


def _aligned(rows: Sequence[tuple[str, ...]], *, right: frozenset[int]) -> list[str]:
    """The rows with their columns one below the other; the columns in ``right`` end at one place."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _beginning(text: str) -> str:
    """The text's first characters on one line."""
    line = " ".join(text.split())
    return f"“{line}”" if len(line) <= _SHOWN else f"“{line[:_SHOWN].rstrip()}…”"
