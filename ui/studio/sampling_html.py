"""The sampling's HTML: what a story is drawn with, and the presets; what a person wrote is escaped here."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from storyloom.app.presets import Preset
from storyloom.app.story_sampling import Drawn
from storyloom.ui.studio.languages import gettext, gettext_noop

# As a person reads them; what isn't here is called as the command line calls it.
TITLES = {
    "temperature": gettext_noop("Temperature"),
    "min_p": "Min-p",
    "top_p": "Top-p",
    "top_k": "Top-k",
    "typical_p": "Typical-p",
    "repetition_penalty": gettext_noop("Repetition penalty"),
    "repetition_window": gettext_noop("Repetition window"),
    "dry_multiplier": "DRY",
    "xtc_probability": "XTC",
    "xtc_threshold": gettext_noop("XTC’s threshold"),
}


def no_story() -> str:
    """Where the story has no name yet."""
    told = gettext("The story isn’t there yet: open this again once its first paragraph is.")
    return f'<p class="quiet">{told}</p>'


def drawn(found: Drawn, why: str) -> str:
    """What the next paragraph is drawn with, where it comes from, and what its preset is for."""
    told = gettext(why) if why else gettext("Values of this story’s own.")
    rows = "".join(_row(name, value, name in found.own) for name, value in found.values.items())
    by = gettext(
        "Drawn by {model}; the values in bold are the story’s, the others its model’s own.",
        model=f"<code>{escape(found.model)}</code>",
    )
    return f'<p class="quiet">{escape(told)}</p><dl class="facts">{rows}</dl><p class="quiet">{by}</p>'


def title(name: str) -> str:
    """What a value is called."""
    return gettext(TITLES[name]) if name in TITLES else name


def called(preset: Preset) -> str:
    """What a preset is called: a person's own as they named it."""
    return gettext(preset.name) if preset.is_ours else preset.name


def presets(found: Iterable[Preset]) -> str:
    """Every preset with its values; a person's own can be renamed and deleted."""
    return f"<ul>{''.join(map(_preset, found))}</ul>"


def told(text: str, undo: str = "") -> str:
    """What was done, with a button that brings a preset of this name back as it was."""
    back = (
        f' <button type="button" data-pick="bring-back" data-name="{escape(undo)}">{gettext("Undo")}</button>'
        if undo
        else ""
    )
    return f'<p role="status">{escape(text)}{back}</p>'


def _row(name: str, value: Any, is_own: bool) -> str:
    shown = escape(_number(value))
    return f"<dt>{escape(title(name))}</dt><dd>{f'<b>{shown}</b>' if is_own else shown}</dd>"


def _preset(preset: Preset) -> str:
    name = escape(called(preset))
    values = _values(preset.values) or gettext("the model’s own values")
    buttons = "" if preset.is_ours else _buttons(preset.name)
    why = escape(gettext(preset.why)) if preset.why else gettext("Yours.")
    return f'<li><b dir="auto">{name}</b><span>{values}</span><p class="quiet">{why}</p>{buttons}</li>'


def _buttons(name: str) -> str:
    return "".join(
        f'<button type="button" data-pick="{what}" data-name="{escape(name)}" '
        f'aria-label="{label} {escape(name)}">{label}</button>'
        for what, label in (("rename", gettext("Rename")), ("delete", gettext("Delete")))
    )


def _values(values: Mapping[str, Any]) -> str:
    return " · ".join(f"{escape(title(name))} {escape(_number(value))}" for name, value in values.items())


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
