"""The rewriter: puts marked words of a paragraph otherwise, as a person asks. Knows no storage.

A small model follows an instruction now and then, so several of its rewritings are weighed against
the instruction, and the best is proposed. Nothing is changed by it: a person keeps it or doesn't.
"""

from dataclasses import dataclass, replace

from storyloom.app.agents.calls import Answer, ask
from storyloom.app.agents.rewrite_rules import Order, lack, nearest, objection, read, worth
from storyloom.app.agents.slots import tokens_of
from storyloom.app.events import Cancelled, Listener
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.memory.errors import ModelFailed, PromptTooLong
from storyloom.memory.generation import Message, Request
from storyloom.memory.ports import TextModel
from storyloom.memory.story import Call, Story
from storyloom.memory.text import count_words

_SPARE_TOKENS = 16
_NO_ENDING = ("length", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """The words that a model puts in a passage's place, and the calls that brought them."""

    text: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class _Draw:
    """A reply, read. ``objection`` says why it can't be proposed, ``lack`` why another may be better."""

    text: str
    objection: str
    lack: str
    call: Call


class Rewriter:
    """Rewrites with one model."""

    def __init__(self, model: TextModel, profile: Profile, templates: Templates) -> None:
        self._model = model
        self._profile = profile
        self._templates = templates

    def rewrite(self, story: Story, order: Order, seed: int, listener: Listener) -> Rewritten:
        """Other words for a passage.

        Args:
            story: whose passage it is.
            order: what shall be rewritten, and how; the model reads as much of what stands beside it as it
                can use.
            seed: where chance starts from.
            listener: gets the words as they come; a redraw begins them anew.

        Raises:
            Cancelled: the listener asked to stop.
            ModelFailed: no reply could take the passage's place.
            PromptTooLong: the passage doesn't fit the model's context.
        """
        order = self._near(order)
        prompt = self._prompt(story, order)
        max_tokens = self._max_tokens(prompt, order)
        draws: list[_Draw] = []
        for attempt in range(self._profile.rewrites + 1):
            if attempt:
                listener.on_redraw(draws[-1].objection or draws[-1].lack)
            sampling = self._profile.rewriting
            if sampling.temperature is not None:
                warmer = sampling.temperature + attempt * self._profile.heat
                sampling = replace(sampling, temperature=warmer)
            request = Request(prompt=prompt, max_tokens=max_tokens, seed=seed + attempt, sampling=sampling)
            draws.append(self._draw(request, order, listener))
            if not draws[-1].objection and not draws[-1].lack:
                break
        fit = [draw for draw in draws if not draw.objection]
        if not fit:
            raise ModelFailed(
                f"The model {self._model.name} brought no other words for the passage in {len(draws)} tries "
                f"({draws[-1].objection}). Say it otherwise, mark other words, or use a stronger model."
            )
        best = max(fit, key=lambda draw: worth(draw.text, order))
        return Rewritten(text=best.text, calls=tuple(draw.call for draw in draws))

    def _near(self, order: Order) -> Order:
        """With what stands right beside the passage: a sentence each for a small model, else more."""
        most = self._profile.last_words if self._profile.follows else 0
        return replace(
            order,
            before=nearest(order.before, most, order.language, last=True),
            after=nearest(order.after, most // 2, order.language, last=False),
        )

    def _prompt(self, story: Story, order: Order) -> tuple[Message, ...]:
        return self._templates.messages(
            "rewriter",
            before=order.before,
            passage=order.passage,
            after=order.after,
            instruction=order.instruction,
            most_words=order.most_words,
            follows=self._profile.follows,
            mode=story.mode.value,
            premise=story.premise,
            style=story.style,
            authors_note=story.authors_note,
            language=order.language,
        )

    def _max_tokens(self, prompt: tuple[Message, ...], order: Order) -> int:
        """Room for the longest rewriting that is allowed; for the passage's own length at least.

        Raises:
            PromptTooLong: there isn't so much.
        """
        room = self._model.context_tokens - self._model.count_tokens(prompt)
        if room < tokens_of(min(count_words(order.passage), order.most_words)):
            raise PromptTooLong(
                f"The marked words are too many for the model {self._model.name}, which reads and writes "
                f"{self._model.context_tokens:,} tokens at most. Mark fewer of them."
            )
        return min(tokens_of(order.most_words) + _SPARE_TOKENS, room)

    def _draw(self, request: Request, order: Order, listener: Listener) -> _Draw:
        """One reply, stopped where it runs past its bound."""

        def enough(text: str) -> bool:
            if listener.cancelled():
                raise Cancelled("Stopped. The paragraph is as it was.")
            return count_words(text) > order.most_words + 1

        answer = ask(self._model, request, agent="rewriter", on_text=listener.on_text, enough=enough)
        text = read(answer.text, order, whole=answer.usage.finish not in _NO_ENDING)
        why_not = self._objection(text, order, answer)
        lacking = "" if why_not or self._follows(text, order) else lack(text, order)
        return _Draw(text, why_not, lacking, answer.judged(why_not or lacking or "kept"))

    @staticmethod
    def _objection(text: str, order: Order, answer: Answer) -> str:
        if not text and count_words(answer.text) > order.most_words:
            return "runs past"
        return objection(text, order, answer.call.prompt)

    def _follows(self, text: str, order: Order) -> bool:
        """Whether the text needn't be weighed: an able model's is, only where it has the same words."""
        return self._profile.follows and lack(text, order) != "says the same words"
