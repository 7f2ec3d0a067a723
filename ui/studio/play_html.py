"""The Play tab's HTML: everything that a person or a model wrote is escaped here, and nowhere else."""

from collections.abc import Sequence
from html import escape

from storyloom.memory.story import Origin, Plan, Step
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.write_html import prose


def turns(title: str, steps: Sequence[Step], language: str) -> str:
    """The story so far: what the reader did, and what the story answered."""
    told = "".join(_turn(step, is_last=step is steps[-1]) for step in steps)
    return f'<article lang="{escape(language)}"><h1 dir="auto">{escape(title)}</h1>{told}</article>'


def draft(action: str, text: str) -> str:
    """The turn that is being told."""
    answer = f'<div class="answer">{prose(text)}</div>'
    return f'<section class="turn" aria-busy="true">{_action(action)}{answer}</section>'


def offers(plans: Sequence[Plan]) -> str:
    """What the reader could do, each a button."""
    if not plans:
        return ""
    buttons = "".join(
        f'<button type="button" data-pick="{number}" dir="auto">{escape(plan.text)}</button>'
        for number, plan in enumerate(plans, start=1)
    )
    return f'<div role="group" aria-label="{gettext("What you could do")}">{buttons}</div>'


def _turn(step: Step, *, is_last: bool) -> str:
    # Nobody has done anything before the story begins, but for a person who said how.
    action = step.plan if step.depth > 1 or step.plan_origin is Origin.PERSON else ""
    return (
        f'<section class="turn">{_mark(step.depth, is_last=is_last)}{_action(action)}'
        f'<div class="answer">{prose(step.paragraph)}</div></section>'
    )


def _mark(depth: int, *, is_last: bool) -> str:
    """The turn's number, which opens the way back to it."""
    if is_last:
        return f'<p class="mark">{depth}</p>'
    turn, back = gettext("Turn {depth}", depth=depth), gettext("Go back to here")
    return (
        f'<details class="mark"><summary aria-label="{turn}">{depth}</summary>'
        f'<button type="button" data-pick="back" data-depth="{depth}">{back}</button></details>'
    )


def _action(action: str) -> str:
    return f'<p class="action" dir="auto">{escape(action)}</p>' if action else ""
