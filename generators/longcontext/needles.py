"""Texts with a pass key in them, which is asked for at the end (the passkey task of arXiv 2305.16300).

Filler comes as tokens of books, so a needle's text is as long as asked to the token.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storyloom.memory.errors import InvalidSetting

_DIGITS = 5
_KEY = "\n\nThe pass key is {key}. Remember it: {key} is the pass key.\n\n"
_QUESTION = "\n\nWhat is the pass key? The pass key is"


@dataclass(frozen=True, slots=True)
class Needle:
    """A text that ends with its pass key.

    Attributes:
        ids: its tokens, [tokens].
        answer: index of the first token of the answer, which is the text's end.
        place: index of the first token of the sentence that tells the key.
        key: the digits.
    """

    ids: NDArray[np.int64]
    answer: int
    place: int
    key: str

    @property
    def prompt(self) -> NDArray[np.int64]:
        """The text without its answer."""
        return self.ids[: self.answer]


def pass_key(
    tokenizer: Any, filler: NDArray[Any], tokens: int, depth: float, random: np.random.Generator
) -> Needle:
    """Hide a pass key in filler.

    Args:
        tokenizer: the model's.
        filler: tokens of a book; it is repeated where it is too short.
        tokens: of the whole text, answer included.
        depth: where the key is told, from 0 (at the beginning) to 1 (just before the question).
        random: draws the key.

    Raises:
        InvalidSetting: the text is too short for the key and the question.
    """
    key = "".join(str(digit) for digit in random.integers(0, 10, _DIGITS))
    told, question, answer = (_ids(tokenizer, text) for text in (_KEY.format(key=key), _QUESTION, f" {key}"))
    room = tokens - len(told) - len(question) - len(answer)
    if room < 0:
        raise InvalidSetting(
            f"A text of {tokens:,} tokens has no room for a pass key, which takes {tokens - room}. Ask for "
            "longer ones."
        )
    hay = np.resize(np.asarray(filler, dtype=np.int64), room)
    place = min(room, max(0, round(depth * room)))
    ids = np.concatenate([hay[:place], told, hay[place:], question, answer])
    return Needle(ids, tokens - len(answer), place, key)


def _ids(tokenizer: Any, text: str) -> NDArray[np.int64]:
    return np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)
