"""Other forms of a word, told by what they share at their beginning: "opens" and "opened"."""

_STEM = 4  # letters that two forms of a word have in common at their beginning
_ENDING = 3  # letters that may follow the stem


class Vocabulary:
    """The words of a text.

    Args:
        told: its words, lower-cased, as ``text.words`` has them.
    """

    def __init__(self, told: list[str]) -> None:
        self._words = frozenset(told)
        self._stems: dict[str, list[str]] = {}
        for word in self._words:
            self._stems.setdefault(word[:_STEM], []).append(word)

    def __contains__(self, word: str) -> bool:
        """Whether the text has the very word."""
        return word in self._words

    def has_form_of(self, word: str) -> bool:
        """Whether the text has the word or another form of it; of what holds a digit only itself counts."""
        if word in self or any(char.isdigit() for char in word):
            return word in self
        return any(_same_word(word, other) for other in self._stems.get(word[:_STEM], ()))


def _same_word(one: str, other: str) -> bool:
    """Two forms of one word: a stem in common, and short endings."""
    stem = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    longest, shortest = max(len(one), len(other)), min(len(one), len(other))
    return (shortest if stem is None else stem) >= max(_STEM, longest - _ENDING)
