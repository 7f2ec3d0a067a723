"""This machine's models and the doctor's findings, the themes to choose from and the keys, as HTML."""

from collections.abc import Iterable
from html import escape

from storyloom.app.doctor import Finding
from storyloom.app.fitting import Model, Models
from storyloom.app.weights import STARTER

_SHADES = (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))
_KEYS = (
    ("Tab, Shift+Tab", "to the next control, to the one before"),
    ("Enter", "open a link or a tab, press a button, open a panel"),
    ("Space", "press a button, choose what the mark is on"),
    ("↑ ↓", "choose among plans, kinds of text and colours"),
)


def shades() -> str:
    """The themes; the page's own script marks the chosen one."""
    choices = "".join(
        f'<label><input type="radio" name="shade" value="{shade}">{name}</label>' for shade, name in _SHADES
    )
    return f"<fieldset><legend>Colours</legend>{choices}</fieldset>"


def models(found: Models) -> str:
    """The models that are here, and which of them writes."""
    rows = "".join(map(_model, found.models))
    other = "" if any(model.writes for model in found.models) else _other(found.writer)
    free = f"{_gigabytes(found.free)} of memory are free now. " if found.free else ""
    return (
        f"<h2>Models</h2><ul>{rows}{other}</ul>"
        f'<p class="quiet">{free}Another model is put into the data folder’s <code>models</code>, and is '
        "chosen by the setting <code>model</code>; a story may name its own.</p>"
    )


def unexamined() -> str:
    """Before the doctor was asked."""
    return (
        '<h2>What this page stands on</h2><p class="quiet">Libraries, data folder, database and weights.</p>'
    )


def findings(found: Iterable[Finding]) -> str:
    """What the doctor says of each."""
    rows = "".join(
        f'<tr class="{one.state}"><th scope="row">{escape(one.name)}</th><td>{one.state}</td>'
        f"<td>{escape(one.text)}</td></tr>"
        for one in found
    )
    return f'<h2>What this page stands on</h2><div class="table"><table><tbody>{rows}</tbody></table></div>'


def keys() -> str:
    """The keyboard's keys."""
    rows = "".join(f"<dt><kbd>{keys}</kbd></dt><dd>{what}</dd>" for keys, what in _KEYS)
    return f"<h2>Keys</h2><dl>{rows}</dl>"


def _model(model: Model) -> str:
    file = model.file
    facts = [_gigabytes(file.size)] if file.present else ["not here; writing fetches it"]
    if model.fits is not None:
        facts.append("fits the free memory" if model.fits else "needs more memory than is free now")
    if model.writes:
        facts.append("writes new stories")
    name = "The starter" if file.name == STARTER else file.name
    return (
        f"<li><b>{escape(name)}</b><span>{' · '.join(facts)}</span>"
        f'<code class="quiet">{escape(file.spec)}</code></li>'
    )


def _other(spec: str) -> str:
    return f"<li><b>{escape(spec)}</b><span>writes new stories</span></li>"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
