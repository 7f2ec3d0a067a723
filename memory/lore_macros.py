"""The macros of lore and cards, ``{{char}}`` and ``{{user}}``. Nothing else of a text is ever a template."""

import re
from collections.abc import Callable, Mapping

_MACRO = re.compile(r"\{\{\s*(char|user)\s*\}\}", re.IGNORECASE)


def with_names(text: str, names: Mapping[str, str], quote: Callable[[str], str] = str) -> str:
    """The text with the names put in; a macro whose name isn't known stays as it is.

    A name is put in once and never read again, so that a name which holds a macro is only a name.

    Args:
        text: any text.
        names: what ``char`` and ``user`` stand for.
        quote: makes a name fit for the text, such as ``re.escape`` for a regular expression.
    """
    if "{{" not in text:
        return text

    def name(match: re.Match[str]) -> str:
        found = names.get(match[1].lower(), "")
        return quote(found) if found else match.group()

    return _MACRO.sub(name, text)
