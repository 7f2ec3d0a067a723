"""What stands beside the status: how fast words come, and how full the last paragraph's prompt was."""

from storyloom.memory.story import Weaving
from storyloom.ui.studio.languages import count, gettext


def speed(tokens_a_second: float) -> str:
    """How fast words come; nothing before it is known. It changes too often to be read aloud."""
    if not tokens_a_second:
        return ""
    speed = gettext("{number} tokens/s", number=count(round(tokens_a_second)))
    return f'<p aria-hidden="true">{speed}</p>'


def budget(weaving: Weaving | None) -> str:
    """How much of the tokens that the prompt might have had it used, as a thin bar."""
    if weaving is None or weaving.budget < 1:
        return ""
    used, most = weaving.tokens, weaving.budget
    label, told = (
        gettext("The last prompt"),
        gettext("{used} of {most} tokens", used=count(used), most=count(most)),
    )
    return (
        f'<p><meter min="0" max="{most}" value="{min(used, most)}" aria-label="{label}"></meter> {told}</p>'
    )
