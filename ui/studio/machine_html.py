"""This machine's models and the doctor's findings, the themes to choose from and the keys, as HTML."""

from collections.abc import Iterable
from html import escape

from storyloom.app.doctor import Finding
from storyloom.app.fitting import Model, Models
from storyloom.app.weights import STARTER
from storyloom.ui.studio.languages import gettext, gettext_noop

_SHADES = (
    ("system", gettext_noop("As the system")),
    ("light", gettext_noop("Light")),
    ("dark", gettext_noop("Dark")),
)
_KEYS = (
    ("Ctrl+Enter", gettext_noop("write on; in a paragraph’s form, save it")),
    ("Esc", gettext_noop("stop what is being written")),
    ("Alt+← →", gettext_noop("the earlier and the later version of the picked paragraph")),
    ("Ctrl+Z, Ctrl+Shift+Z", gettext_noop("undo an edit, redo it, outside of boxes of text")),
    ("Tab, Shift+Tab", gettext_noop("to the next control, to the one before")),
    ("Enter", gettext_noop("open a link or a tab, press a button, open a panel")),
    ("Space", gettext_noop("press a button, choose what the mark is on")),
    ("↑ ↓", gettext_noop("choose among plans, kinds of text and colours")),
)
_STATES = {
    "ok": gettext_noop("ok"),
    "warning": gettext_noop("warning"),
    "broken": gettext_noop("broken"),
}


def shades() -> str:
    """The themes; the page's own script marks the chosen one."""
    choices = "".join(
        f'<label><input type="radio" name="shade" value="{shade}">{gettext(name)}</label>'
        for shade, name in _SHADES
    )
    return f"<fieldset><legend>{gettext('Colours')}</legend>{choices}</fieldset>"


def models(found: Models) -> str:
    """The models that are here, and which of them writes."""
    rows = "".join(map(_model, found.models))
    other = "" if any(model.writes for model in found.models) else _other(found.writer)
    told = gettext(
        "Another model is put into the data folder’s <code>models</code>, and is chosen by the setting "
        "<code>model</code>; a story may name its own."
    )
    if found.free:
        told = f"{gettext('{size} of memory are free now.', size=_gigabytes(found.free))} {told}"
    return f'<h2>{gettext("Models")}</h2><ul>{rows}{other}</ul><p class="quiet">{told}</p>'


def unexamined() -> str:
    """Before the doctor was asked."""
    about = gettext("Libraries, data folder, database and weights.")
    return f'<h2>{gettext("What this page stands on")}</h2><p class="quiet">{about}</p>'


def findings(found: Iterable[Finding]) -> str:
    """What the doctor says of each."""
    rows = "".join(
        f'<tr class="{one.state}"><th scope="row">{escape(one.name)}</th>'
        f"<td>{gettext(_STATES[one.state])}</td><td>{escape(one.text)}</td></tr>"
        for one in found
    )
    head = gettext("What this page stands on")
    return f'<h2>{head}</h2><div class="table"><table><tbody>{rows}</tbody></table></div>'


def keys() -> str:
    """The keyboard's keys."""
    rows = "".join(f"<dt><kbd>{keys}</kbd></dt><dd>{gettext(what)}</dd>" for keys, what in _KEYS)
    return f"<h2>{gettext('Keyboard')}</h2><dl>{rows}</dl>"


def _model(model: Model) -> str:
    file = model.file
    facts = [_gigabytes(file.size)] if file.present else [gettext("not here; writing fetches it")]
    if model.fits is not None:
        fits, needs = gettext("fits the free memory"), gettext("needs more memory than is free now")
        facts.append(fits if model.fits else needs)
    if model.writes:
        facts.append(gettext("writes new stories"))
    name = gettext("The starter") if file.name == STARTER else file.name
    return (
        f"<li><b>{escape(name)}</b><span>{' · '.join(facts)}</span>"
        f'<code class="quiet">{escape(file.spec)}</code></li>'
    )


def _other(spec: str) -> str:
    return f"<li><b>{escape(spec)}</b><span>{gettext('writes new stories')}</span></li>"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
