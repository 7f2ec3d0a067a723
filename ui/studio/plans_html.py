"""The drafts' HTML: everything that a person or a model wrote is escaped here, and nowhere else."""

from html import escape

from storyloom.ui.studio.following import doing
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.writing import Drafting, Writing


def drafts(drafting: Drafting | None) -> str:
    """A column a plan: what has come of its paragraph, and how to keep it."""
    if drafting is None:
        return ""
    columns = "".join(map(_column, drafting.writings))
    end = ("close", gettext("Close the drafts")) if drafting.done else ("stop", gettext("Stop drafting"))
    button = f'<button type="button" class="quiet" data-pick="{end[0]}">{end[1]}</button>'
    heading = gettext("Three drafts of the next paragraph")
    return f'<h3>{heading}</h3><div class="columns">{columns}</div>{button}'


def _column(writing: Writing) -> str:
    progress, busy = writing.progress, "false" if writing.done else "true"
    return (
        f'<section aria-busy="{busy}"><h4 dir="auto">{escape(progress.plan)}</h4>'
        f"{_prose(progress.text)}{_end(writing)}</section>"
    )


def _end(writing: Writing) -> str:
    if not writing.done:
        told = doing(writing.progress) if writing.progress.strand_id else gettext("Waits for its turn.")
        return f'<p class="state">{escape(told)}</p>'
    if writing.stopped:
        return f'<p class="state">{gettext("Stopped.")}</p>'
    if writing.message:
        return f'<p class="state" role="alert">{escape(writing.message)}</p>'
    return (
        f'<button type="button" data-pick="keep" data-strand="{escape(writing.progress.strand_id)}">'
        f"{gettext('Keep this one')}</button>"
    )


def _prose(text: str) -> str:
    return "".join(f'<p dir="auto">{escape(part)}</p>' for part in text.split("\n") if part.strip())
