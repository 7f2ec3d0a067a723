"""The page's HTML: everything that a person or a model wrote is escaped here, and nowhere else."""

from collections.abc import Iterable
from html import escape

from storyloom.memory.story import Call, Job, Provenance, SlotRecord, Step, Story
from storyloom.ui.studio.below import reason
from storyloom.ui.studio.languages import count, decimal, gettext, gettext_noop

_WRITERS = ("writer", "one_call")
_PROMPTS = {
    "writer": gettext_noop("writer’s prompt"),
    "planner": gettext_noop("planner’s prompt"),
    "memory_keeper": gettext_noop("memory keeper’s prompt"),
    "editor": gettext_noop("editor’s prompt"),
    "one_call": gettext_noop("one call’s prompt"),
}
_ANY_PROMPT = gettext_noop("{agent}’s prompt")


def document(title: str, steps: Iterable[Step], language: str, picked: int = 0) -> str:
    """Title and paragraphs as one text; each paragraph's number picks it."""
    paragraphs = "".join(_paragraph(step, is_picked=step.depth == picked) for step in steps)
    return f'<article lang="{escape(language)}"><h1 dir="auto">{escape(title)}</h1>{paragraphs}</article>'


def _paragraph(step: Step, *, is_picked: bool) -> str:
    label = gettext("About paragraph {depth}", depth=step.depth)
    return (
        f'<div class="paragraph"><button type="button" data-pick="paragraph" data-depth="{step.depth}" '
        f'aria-label="{label}"{" aria-current=true" if is_picked else ""}>'
        f"{step.depth}</button>{prose(step.paragraph)}</div>"
    )


def draft(text: str, plan: str = "") -> str:
    """The paragraph that is being written; until its first words come, what shall happen in it."""
    if plan and not text:
        return f'<div class="paragraph" aria-busy="true"><p class="quiet" dir="auto">{escape(plan)}</p></div>'
    return f'<div class="paragraph" aria-busy="true">{prose(text)}</div>'


def masthead(title: str = "", story_id: str = "", strand_id: str = "") -> str:
    """The line above everything: the way back to the stories, the open one's title, and its files."""
    here = f'<span dir="auto">{escape(title)}</span>' if title else ""
    files = _files(story_id, strand_id) if story_id else ""
    return f'<nav aria-label="{gettext("Stories")}"><a href="?">Storyloom</a>{here}{files}</nav>'


def notice(text: str) -> str:
    """A message that a person should read, in a paragraph."""
    return f'<p role="alert">{escape(text)}</p>' if text else ""


def status(text: str) -> str:
    """What is being done just now."""
    return f'<p role="status">{escape(text)}</p>'


def memory_change(step: Step | None) -> str:
    """What the last step added to short-term memory and dropped from it, and why."""
    if step is None:
        return f'<p class="quiet">{gettext("Before the first paragraph it holds the premise alone.")}</p>'
    rows = [f'<li class="added" dir="auto">{escape(note.text)}</li>' for note in step.added]
    rows += [
        f'<li class="dropped" dir="auto">{escape(gone.note.text)}'
        f"<span>{escape(reason(gone.reason))}</span></li>"
        for gone in step.dropped
    ]
    body = f"<ul>{''.join(rows)}</ul>" if rows else f'<p class="quiet">{gettext("Nothing.")}</p>'
    return f"<h4>{gettext('Changed by paragraph {depth}', depth=step.depth)}</h4>{body}"


def about(story: Story) -> str:
    """Premise and outline."""
    outline = f'<p dir="auto">{escape(story.outline)}</p>'
    return f'<h4>{gettext("Premise")}</h4><p dir="auto">{escape(story.premise)}</p>' + (
        f"<h4>{gettext('Outline')}</h4>{outline}" if story.outline else ""
    )


def _files(story_id: str, strand_id: str) -> str:
    """The links that download the story."""
    links = "".join(
        f'<a href="export/{escape(story_id)}.{suffix}?strand={escape(strand_id)}" download>{label}</a>'
        for suffix, label in (
            ("md", gettext("Markdown")),
            ("txt", gettext("plain text")),
            ("json", gettext("everything, as JSON")),
        )
    )
    return f"<details><summary>{gettext('Download')}</summary><div>{links}</div></details>"


def cut_off(job: Job | None) -> str:
    """A paragraph that was cut off before it was committed."""
    if job is None:
        return ""
    told = gettext("Paragraph {depth} was cut off. These words had come:", depth=job.depth)
    return f'<h4>{told}</h4><blockquote dir="auto">{escape(job.journal)}</blockquote>'


def provenance(depth: int, record: Provenance) -> str:
    """The exact prompt of a paragraph, what was woven into it, and the other agents' calls."""
    writing = [call for call in record.calls if call.agent in _WRITERS]
    others = [call for call in record.calls if call.agent not in _WRITERS]
    heading = gettext("What went into paragraph {depth}", depth=depth)
    return (
        f"<h4>{heading}</h4>{_slots(record.slots)}"
        + "".join(_call(call, number == 0) for number, call in enumerate(reversed(writing)))
        + "".join(_call(call, False) for call in others)
    )


def prose(text: str) -> str:
    """A paragraph's text, a line of it each as a paragraph of the page."""
    parts = [part for part in text.split("\n") if part.strip()] or [""]
    return "".join(f'<p dir="auto">{escape(part)}</p>' for part in parts)


def _slots(slots: Iterable[SlotRecord]) -> str:
    rows = "".join(map(_slot, slots))
    columns = (gettext("Part"), gettext("Source"), gettext("Tokens"), gettext("Score"), "")
    head = "".join(f"<th>{column}</th>" for column in columns)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _slot(slot: SlotRecord) -> str:
    score = "" if slot.score is None else decimal(slot.score, 2)
    cells = (slot.slot, slot.source, count(slot.tokens), score, gettext("cut") if slot.cut else "")
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _call(call: Call, is_open: bool) -> str:
    verdict = f" · {escape(call.verdict)}" if call.verdict else ""
    numbers = gettext(
        "{tokens} tokens, {seconds} s", tokens=count(call.prompt_tokens), seconds=decimal(call.seconds, 1)
    )
    agent = escape(call.agent.replace("_", " "))
    heading = gettext(_PROMPTS.get(call.agent, _ANY_PROMPT), agent=agent)
    return (
        f"<details{' open' if is_open else ''}><summary>{heading} "
        f"<span>{numbers}{verdict}</span></summary>"
        f'<pre class="prompt" tabindex="0">{escape(call.prompt)}</pre>'
        f'<pre class="reply" tabindex="0">{escape(call.reply)}</pre></details>'
    )
