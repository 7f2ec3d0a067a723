"""Keys hidden in long texts, to be found again: pass keys and key–value pairs, in tokens.

The forms are those of landmark attention's pass key (arXiv 2305.16300) and RULER's needles (arXiv
2404.06654). A text's parts are tokenised apart, so that a text is exactly as long as was asked, and a key has
the same tokens where it is told and where it is asked for.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storyloom.generators.longcontext.nouns import NOUNS
from storyloom.memory.errors import InvalidSetting, InvalidText

Ids = list[int]
# Gives so many tokens of text in which nothing is hidden.
Filler = Callable[[int], Ids]

_NOISE = " The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
_INTRO = (
    "Somewhere in this long text a number is hidden. Find it and remember it; you will be asked for it.\n"
)
_DIGITS = (10_000, 99_999)
_APART = 100  # Tokens of prose to each number that is strewn in, at the least.


@dataclass(frozen=True, slots=True)
class Needle:
    """A text, what should come next, and what might seem to.

    Attributes:
        ids: the text with the hidden key, up to the question's last token.
        answer: the true key.
        others: keys of the same form that aren't the answer.
    """

    ids: Ids
    answer: Ids
    others: tuple[Ids, ...]


def encode(tokenizer: Any, text: str) -> Ids:
    """A text's tokens, without any special one."""
    ids: Ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def noise(tokenizer: Any) -> Filler:
    """The same few sentences again and again: nothing in them can be confused with a key."""
    once = encode(tokenizer, _NOISE)

    def fill(tokens: int) -> Ids:
        return (once * (tokens // len(once) + 1))[:tokens]

    return fill


def prose(tokens: NDArray[Any], chance: random.Random) -> Filler:
    """Real text, from another place at each call.

    Args:
        tokens: of one or more books, one after another.
        chance: draws the place.

    Raises:
        InvalidText: by the filler, where the text is shorter than what is asked of it.
    """

    def fill(count: int) -> Ids:
        if count > len(tokens):
            raise InvalidText(
                f"The text has {len(tokens):,} tokens, but {count:,} are to be filled. Give longer books, or "
                "ask for a shorter length."
            )
        start = chance.randint(0, len(tokens) - count)
        ids: Ids = np.asarray(tokens[start : start + count]).astype(int).tolist()
        return ids

    return fill


def numbered(filler: Filler, tokenizer: Any, chance: random.Random) -> Filler:
    """A filler's text with numbers of one to five digits written over some of its tokens.

    Years, pages and chapters have numbers too: one who has only ever seen the key's takes any for it.

    Args:
        filler: gives the text.
        tokenizer: the model's.
        chance: draws how many numbers, from none to one in so many tokens, which, and where.
    """

    def fill(count: int) -> Ids:
        ids = filler(count)
        for _ in range(chance.randint(0, count // _APART)):
            number = encode(tokenizer, f" {chance.randrange(10 ** chance.randint(1, 5))}")
            place = chance.randint(0, count - len(number))
            ids[place : place + len(number)] = number
        return ids

    return fill


def passkey(
    tokenizer: Any, filler: Filler, *, length: int, depth: float, chance: random.Random, others: int = 4
) -> Needle:
    """A text with one number in it, which is asked for at the end.

    Args:
        tokenizer: the model's.
        filler: gives the text around.
        length: tokens of the text and its answer together.
        depth: where the number is, from 0, the text's beginning, to 1, its end.
        chance: draws the numbers.
        others: how many wrong numbers to give beside; none of them is in the text.

    Raises:
        InvalidSetting: the length doesn't hold the question.
    """
    keys = [encode(tokenizer, f" {number}") for number in chance.sample(range(*_DIGITS), 1 + others)]
    statement = [
        *encode(tokenizer, "\nThe pass key is"),
        *keys[0],
        *encode(tokenizer, ". Remember it:"),
        *keys[0],
        *encode(tokenizer, " is the pass key.\n"),
    ]
    question = encode(tokenizer, "\nWhat is the pass key? The pass key is")
    room = length - len(keys[0])
    ids = _hidden(encode(tokenizer, _INTRO), [(depth, statement)], question, filler, room)
    return Needle(ids, keys[0], tuple(keys[1:]))


def key_values(
    tokenizer: Any, filler: Filler, *, length: int, depth: float, chance: random.Random, pairs: int = 5
) -> Needle:
    """A text with several numbered things in it, one of whose numbers is asked for; see ``passkey``.

    Args:
        tokenizer: the model's.
        filler: gives the text around.
        length: tokens of the text and its answer together.
        depth: where the asked one is; the others are anywhere.
        chance: draws things, numbers and places.
        pairs: how many things have a number; those of the others are the wrong answers.

    Raises:
        InvalidSetting: the length doesn't hold the statements.
    """
    keys = chance.sample(NOUNS, pairs)
    values = [encode(tokenizer, f" {number}") for number in chance.sample(range(*_DIGITS), pairs)]
    depths = [depth, *(chance.random() for _ in range(pairs - 1))]
    statements = [
        (place, [*encode(tokenizer, f"\nThe number of the {key} is"), *value, *encode(tokenizer, ".\n")])
        for place, key, value in zip(depths, keys, values, strict=True)
    ]
    question = encode(tokenizer, f"\nWhat is the number of the {keys[0]}? The number of the {keys[0]} is")
    room = length - len(values[0])
    ids = _hidden(encode(tokenizer, _INTRO), statements, question, filler, room)
    return Needle(ids, values[0], tuple(values[1:]))


KINDS: dict[str, Callable[..., Needle]] = {"passkey": passkey, "key_values": key_values}


def _hidden(
    intro: Ids, statements: Sequence[tuple[float, Ids]], question: Ids, filler: Filler, length: int
) -> Ids:
    """Intro, filler with the statements at their depths, and question: so many tokens in all."""
    least = len(intro) + len(question) + sum(len(statement) for _, statement in statements)
    if length < least:
        raise InvalidSetting(
            f"A text of {length} tokens can't hold what is to be hidden in it; it needs at least {least}."
        )
    around = filler(length - least)
    ids, taken = list(intro), 0
    for depth, statement in sorted(statements, key=lambda pair: pair[0]):
        place = round(depth * len(around))
        ids += [*around[taken:place], *statement]
        taken = place
    return [*ids, *around[taken:], *question]
