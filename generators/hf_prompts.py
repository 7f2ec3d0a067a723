"""Turns prompts into token ids, and tokens back into text, for a transformers tokenizer.

Text never steers the model: special tokens that stand in a message or in a plain text are read as the
letters they are written with. A rendered chat is tokenised as a whole, as in training; only where a
message holds a special token's text, the template's own special tokens are set by id and everything
between them is tokenised as plain text.

Without a chat template the contents of the messages follow each other, an empty line between them, and
the model goes on from there: the plain form for base models. A template that knows no system turn gets its
text at the head of the next turn.
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, cast

from jinja2 import TemplateError

from storyloom.generators.encodable import encodable
from storyloom.memory.errors import UnsupportedRequest
from storyloom.memory.generation import Message, Prompt


class Prompts:
    """Reads prompts for one tokenizer."""

    def __init__(self, tokenizer: Any, name: str):
        self._tokenizer = tokenizer
        self._name = name
        special = {str(token): id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._special = special
        texts = sorted(special, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, texts)) or r"(?!)")
        # Stands in a rendered chat behind the first letter of a special token that is only text.
        self._mark = f"\ue000{secrets.token_hex(8)}"

    def ids(self, prompt: Prompt) -> list[int]:
        """The prompt's token ids, those of the template and of the text's beginning included.

        Raises:
            UnsupportedRequest: the chat template refuses the messages.
        """
        if isinstance(prompt, str):
            return self._plain(prompt, begin=True)
        turns = prompt[:-1] if prompt and prompt[-1] == Message("assistant", "") else prompt
        if not self._tokenizer.chat_template:
            return self._plain(_joined(turns), begin=True)
        rendered = self._render([self._turn(message) for message in turns])
        if self._mark not in rendered:
            return cast("list[int]", self._tokenizer(rendered, add_special_tokens=False).input_ids)
        return list(self._parts(rendered))

    def text_ids(self, text: str) -> list[int]:
        """The ids of a text by itself, as of a book's in training: nothing stands before it or after."""
        return self._plain(text, begin=False)

    def continuation(self, prompt: Prompt, text: str) -> list[int]:
        """The ids of a text that goes on from a prompt, without the prompt's own.

        Read together with the prompt, a text gets the ids that it has in training. Where that changes the
        ids of the prompt (one spans the joint, or the template renders a begun answer otherwise) it is read
        alone: an engine that goes on from a prompt has the prompt's ids as they are, too.
        """
        head, whole = self.ids(prompt), self.ids(_continued(prompt, text))
        return whole[len(head) :] if whole[: len(head)] == head else self._plain(text, begin=False)

    def _plain(self, text: str, *, begin: bool) -> list[int]:
        """Text in which nothing is a special token."""
        encoded = self._tokenizer(encodable(text), add_special_tokens=begin, split_special_tokens=True)
        return cast("list[int]", encoded.input_ids)

    def _turn(self, message: Message) -> dict[str, str]:
        content = self._control.sub(
            lambda found: found[0][0] + self._mark + found[0][1:], encodable(message.content)
        )
        return {"role": message.role, "content": content}

    def _render(self, turns: list[dict[str, str]]) -> str:
        goes_on = bool(turns) and turns[-1]["role"] == "assistant"
        options = {
            "tokenize": False,
            "add_generation_prompt": not goes_on,
            "continue_final_message": goes_on,
        }
        try:
            return cast("str", self._tokenizer.apply_chat_template(turns, **options))
        except (TemplateError, ValueError) as error:
            if len(turns) > 1 and turns[0]["role"] == "system":
                merged = {**turns[1], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
                return self._render([merged, *turns[2:]])
            raise UnsupportedRequest(
                f"The chat template of {self._name} refuses these messages: {error}. Let system, user and "
                "assistant take turns, ending with the user or with a begun answer."
            ) from error

    def _parts(self, rendered: str) -> Iterator[int]:
        at = 0
        for found in [*self._control.finditer(rendered), None]:
            text = rendered[at : found.start() if found else len(rendered)].replace(self._mark, "")
            if text:
                yield from self._plain(text, begin=False)
            if found:
                yield self._special[found[0]]
                at = found.end()


def _continued(prompt: Prompt, text: str) -> Prompt:
    """The prompt with the text behind it, in the answer that it begins or that follows it."""
    if isinstance(prompt, str):
        return prompt + text
    if prompt and prompt[-1].role == "assistant":
        return (*prompt[:-1], Message("assistant", prompt[-1].content + text))
    return (*prompt, Message("assistant", text))


def _joined(turns: Sequence[Message]) -> str:
    text = "\n\n".join(turn.content for turn in turns)
    return text if turns and turns[-1].role == "assistant" else f"{text}\n\n"


class Detokenizer:
    """Turns ids into text as they come, and shows no character before all of its bytes are there.

    Args:
        tokenizer: any transformers tokenizer.
        prompt: the ids before the first, whose last few tell whether a space is due.
    """

    def __init__(self, tokenizer: Any, prompt: Sequence[int]):
        self._tokenizer = tokenizer
        self._ids = list(prompt[-6:])
        self._begin = 0
        self._shown = len(self._ids)

    def feed(self, token: int) -> str:
        """The text that a token completes; empty while a character is incomplete."""
        self._ids.append(token)
        return self._new(whole=False)

    def flush(self) -> str:
        """What is left at the end; incomplete characters come as U+FFFD."""
        return self._new(whole=True)

    def _new(self, *, whole: bool) -> str:
        before = self._decode(self._ids[self._begin : self._shown])
        text = self._decode(self._ids[self._begin :])
        if len(text) <= len(before) or (text.endswith("�") and not whole):
            return ""
        self._begin, self._shown = self._shown, len(self._ids)
        return text[len(before) :]

    def _decode(self, ids: Sequence[int]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return cast("str", text)
