"""How long a text gets: its length score."""

# A text may be longer by this many times what was asked, or shorter by it, before its score is 0 (LongWriter).
_LONGER, _SHORTER = 3, 2


def length_score(asked: int, written: int) -> float:
    """How well a text's length meets what was asked, from 0 to 100: S_l of LongWriter (arXiv 2408.07055).

    Args:
        asked: words asked for, 1 at least.
        written: words written.
    """
    if written <= 0:
        return 0.0
    off = (written / asked - 1) / _LONGER if written > asked else (asked / written - 1) / _SHORTER
    return 100 * max(0.0, 1 - off)
