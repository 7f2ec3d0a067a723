"""HTML about words that are rewritten: everything that a person or a model wrote is escaped here."""

from html import escape

from storyloom.ui.studio.languages import gettext, gettext_noop
from storyloom.ui.studio.map_diff import marked
from storyloom.ui.studio.write_html import prose

# Which words are meant; the page's script writes them in as they are marked.
_ALL = gettext_noop("Nothing is marked: all of it will be rewritten.")
_SOME = gettext_noop("To be rewritten: “{words}”")


def meant() -> str:
    """The line that says which words are meant, before any is marked."""
    nothing, some = escape(gettext(_ALL)), escape(gettext(_SOME))
    return f'<p class="quiet" dir="auto" data-all="{nothing}" data-some="{some}">{nothing}</p>'


def coming(text: str, doing: str) -> str:
    """The words that come; before the first, what is being done."""
    if not text.strip():
        return f'<p class="quiet" role="status">{escape(doing)}</p>'
    return f'<div class="now" aria-busy="true"><h4>{gettext("The proposal")}</h4>{prose(text)}</div>'


def difference(old: str, new: str) -> str:
    """Both wordings, what differs marked; unmarked where they have little in common."""
    both = marked(old, new)
    before, after = both or (escape(old), escape(new))
    return (
        f'<div class="was"><h4>{gettext("As it stands")}</h4><p dir="auto">{before}</p></div>'
        f'<div class="now"><h4>{gettext("The proposal")}</h4><p dir="auto">{after}</p></div>'
    )
