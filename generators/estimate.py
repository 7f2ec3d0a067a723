"""How many tokens a prompt has about, for models that don't tell."""

import math

from storyloom.generators.encodable import encodable
from storyloom.memory.generation import Prompt

_A_MESSAGE = 8
_AN_ANSWER = 3


def estimate_tokens(prompt: Prompt) -> int:
    """A number that is rather too high: it keeps a prompt inside a context, and wastes some of it.

    A token for 3 ASCII characters (English has one for about 4) and for 2 bytes of others (Chinese has
    one for 2 to 6, by tokenizer), and 8 more for each message of a chat.
    """
    if isinstance(prompt, str):
        return _of_text(prompt)
    return sum(_of_text(message.content) + _A_MESSAGE for message in prompt) + _AN_ANSWER


def _of_text(text: str) -> int:
    ascii_characters = sum(character.isascii() for character in text)
    other_bytes = len(encodable(text).encode()) - ascii_characters
    return math.ceil(ascii_characters / 3 + max(other_bytes, 0) / 2)
