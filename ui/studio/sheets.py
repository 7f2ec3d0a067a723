"""The studio's style sheets, a file a tab, as the one that the page carries."""

from pathlib import Path

_FOLDER = Path(__file__).with_name("styles")
# In the order of the cascade: what a tab says comes after what holds for the whole page.
_SHEETS = (
    "page",
    "tabs",
    "library",
    "write",
    "home",
    "inspect",
    "map",
    "play",
    "drafts",
    "paragraph",
    "rewrite",
    "memory",
    "settings",
)


def style_sheet() -> str:
    """The whole style sheet."""
    return "\n".join((_FOLDER / f"{name}.css").read_text(encoding="utf-8") for name in _SHEETS)
