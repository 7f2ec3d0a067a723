"""The few sentences that rooms below keep with a story, as the page says them.

They are kept in English, with a step's number or a name in them. What is none of those that are known here
is told as it was kept.
"""

import re
from collections.abc import Mapping

from storyloom.ui.studio.languages import gettext, gettext_noop

# Why a sentence left short-term memory.
_REASONS = (
    gettext_noop("taken out by hand"),
    gettext_noop("taken out by the model"),
    gettext_noop("reworded by hand"),
    gettext_noop("reworded by the model"),
    gettext_noop("an edit was undone"),
    gettext_noop("step {depth} was noted anew"),
    gettext_noop("the page was full, and nothing has spoken of this since step {depth}"),
    gettext_noop("the page was full, and step {depth} was the last to speak of this"),
)
# Why something is stale, by how that was kept: the page knows paragraphs and no steps.
_CAUSES: Mapping[str, str] = {
    "the paragraph of step {depth} was edited": gettext_noop("because paragraph {depth} was edited"),
    "the paragraph of step {depth} was taken out": gettext_noop("because paragraph {depth} was taken out"),
    "a paragraph was inserted as step {depth}": gettext_noop(
        "because a paragraph was inserted as step {depth}"
    ),
    "the memory after step {depth} was edited": gettext_noop(
        "because the memory after paragraph {depth} was edited"
    ),
    "the lore entry {name} was edited": gettext_noop("because the lore entry {name} was edited"),
    "the character {name} was edited": gettext_noop("because the character {name} was edited"),
}
_OTHER_CAUSE = gettext_noop("because {cause}")


def reason(kept: str) -> str:
    """Why a sentence left short-term memory."""
    return _said(kept, _KNOWN_REASONS) or kept


def because(cause: str) -> str:
    """The end of a sentence that tells why something is stale."""
    return _said(cause, _KNOWN_CAUSES) or gettext(_OTHER_CAUSE, cause=cause)


def _said(kept: str, known: Mapping[re.Pattern[str], str]) -> str:
    for form, message in known.items():
        if found := form.fullmatch(kept):
            return gettext(message, **found.groupdict())
    return ""


def _form(kept: str) -> re.Pattern[str]:
    """What matches a sentence whatever its ``{names}`` are."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(kept)), re.DOTALL)


_KNOWN_REASONS = {_form(message): message for message in _REASONS}
_KNOWN_CAUSES = {_form(kept): message for kept, message in _CAUSES.items()}
