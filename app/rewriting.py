"""Rewriting: a model puts marked words of a paragraph otherwise, as a person asks, and the person decides.

A proposal changes nothing. One that is kept is an edit by hand, and no character outside the marked words
changes with it.
"""

from dataclasses import dataclass

from storyloom.app.agents.rewrite_rules import Order
from storyloom.app.agents.rewriter import Rewritten
from storyloom.app.castings import Castings
from storyloom.app.editing import Edited, edit_paragraph, own_step
from storyloom.app.events import Listener
from storyloom.app.given_text import LONGEST_PARAGRAPH, LONGEST_PLAN, optional, required
from storyloom.app.recurrence import derived_seed
from storyloom.app.shelf import Shelf
from storyloom.memory.errors import InvalidText, StepConflict
from storyloom.memory.story import Origin

_NEAR = 6_000  # characters of the paragraphs beside it, more than any model reads of them
_SHOWN = 60  # characters of words that aren't there


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """Words of a paragraph that shall be rewritten.

    Attributes:
        story_id: the story.
        strand_id: the strand that the paragraph is read on.
        depth: its step.
        kept: the paragraph as it was kept when the words were marked.
        text: the paragraph as the person sees it, perhaps with edits that aren't kept yet.
        start: the first marked character of ``text``.
        end: the character after the last.
        instruction: what the person wants changed.
    """

    story_id: str
    strand_id: str
    depth: int
    kept: str
    text: str
    start: int
    end: int
    instruction: str

    @property
    def passage(self) -> str:
        """The marked words."""
        return self.text[self.start : self.end]

    def with_words(self, words: str) -> str:
        """The paragraph with other words in place of the marked ones."""
        return self.text[: self.start] + words + self.text[self.end :]


class Rewriting:
    """Proposals of other words, and keeping them.

    Args:
        shelf: whose stories.
        castings: makes the rewriter.
    """

    def __init__(self, shelf: Shelf, castings: Castings) -> None:
        self._shelf = shelf
        self._castings = castings

    def mark(
        self,
        reference: str,
        depth: int,
        instruction: str,
        strand: str | None = None,
        *,
        words: str = "",
        seen: tuple[str, str] | None = None,
        span: tuple[int, int] = (0, 0),
    ) -> Marked:
        """Say which words shall be rewritten, and how.

        Args:
            reference: the story.
            depth: the step of the paragraph.
            instruction: what shall change.
            strand: the strand.
            words: the words themselves, where they stand in the paragraph once.
            seen: the paragraph as it was when a person began, and as they have it now; else as it is kept.
            span: the first character and the one after the last, of what the person has now. Without
                ``words``, and with nothing but white space in it, the whole paragraph is meant.

        Raises:
            StrandNotFound: the strand has no such step.
            StepConflict: the paragraph isn't what it was when the person began.
            InvalidText: the instruction is empty or too long, or ``words`` don't stand there just once.
        """
        instruction = required(instruction, "instruction", LONGEST_PLAN)
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            kept = work.steps.at(line.id, depth).paragraph
        began, text = seen or (kept, kept)
        if began != kept:
            raise _conflict(depth)
        required(text, "paragraph", LONGEST_PARAGRAPH)
        start, end = _place_of(words, text, depth) if words else _trimmed(text, *span)
        return Marked(
            story_id=story.id,
            strand_id=line.id,
            depth=depth,
            kept=kept,
            text=text,
            start=start,
            end=end,
            instruction=instruction,
        )

    def propose(
        self,
        marked: Marked,
        listener: Listener,
        *,
        attempt: int = 0,
        seed: int | None = None,
        model: str | None = None,
    ) -> Rewritten:
        """Other words for the marked ones. Nothing is kept of it, and no transaction is open meanwhile.

        Args:
            marked: the words, and what shall change.
            listener: gets the words as they come.
            attempt: how often the same was asked before; each time brings other words.
            seed: where chance starts from, instead of the story's own seed.
            model: SPEC of the model to use instead of the story's.

        Raises:
            Cancelled: the listener asked to stop.
            ModelUnavailable, ModelFailed, PromptTooLong: there are no other words; nothing has changed.
        """
        story, line = self._shelf.find(marked.story_id, marked.strand_id)
        with self._shelf.database.unit_of_work(write=False) as work:
            near = {
                at: work.steps.at(line.id, at).paragraph
                for at in (marked.depth - 1, marked.depth + 1)
                if 1 <= at <= work.steps.depth(line.id)
            }
        before = f"{near.get(marked.depth - 1, '')}\n\n{marked.text[: marked.start]}"
        after = f"{marked.text[marked.end :]}\n\n{near.get(marked.depth + 1, '')}"
        listener.on_stage("loading", marked.depth)
        rewriter = self._castings.rewriter(model or story.settings.get("model"))
        listener.on_stage("writing", marked.depth)
        order = Order(
            passage=marked.passage,
            before=before[-_NEAR:].strip(),
            after=after[:_NEAR].strip(),
            instruction=marked.instruction,
            language=story.language,
        )
        first = story.settings.get("seed", 0) if seed is None else seed
        return rewriter.rewrite(
            story, order, derived_seed(derived_seed(first, marked.depth), attempt), listener
        )

    def keep(self, marked: Marked, words: str) -> Edited:
        """Put words in the place of the marked ones: an edit by hand, which can be undone.

        Raises:
            StrandNotFound: the step is gone.
            StepConflict: the paragraph was changed since; it stays as it is.
            InvalidText: nothing would be left of the paragraph, it would be too long, or its step
                belongs to another strand.
        """
        whole = marked.with_words(optional(words, "text", LONGEST_PARAGRAPH))
        required(whole, "paragraph", LONGEST_PARAGRAPH)
        story, line = self._shelf.find(marked.story_id, marked.strand_id)
        with self._shelf.database.unit_of_work() as work:
            step = own_step(work, line, marked.depth)
            if step.paragraph != marked.kept:
                raise _conflict(marked.depth)
            if step.paragraph == whole:
                return Edited(step, ())
            edited = edit_paragraph(work, story, line, marked.depth, whole, Origin.PERSON)
            work.commit()
        return edited


def _conflict(depth: int) -> StepConflict:
    return StepConflict(
        f"Paragraph {depth} was changed meanwhile, so nothing is rewritten in it: it stays as it is now. "
        "Copy what you want to keep of your own words, and begin again."
    )


def _place_of(words: str, text: str, depth: int) -> tuple[int, int]:
    shown = f"{words[:_SHOWN]}…" if len(words) > _SHOWN else words
    found = text.count(words)
    if not words.strip() or not found:
        raise InvalidText(
            f"The words “{shown}” don't stand in paragraph {depth}. Give them exactly as they stand there."
        )
    if found > 1:
        raise InvalidText(
            f"The words “{shown}” stand in paragraph {depth} {found} times. Give more of the words around "
            "them, so that they stand there once."
        )
    start = text.index(words)
    return _trimmed(text, start, start + len(words))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without white space at its ends; the whole text's where nothing is left of it."""
    start, end = max(0, start), min(len(text), end)
    words = text[start:end]
    if not words.strip():
        start, words = 0, text
    first = start + len(words) - len(words.lstrip())
    return first, first + len(words.strip())
