"""Sentences about many things at once, of which only some are named."""

from collections.abc import Sequence

_NAMED = 3


def some(names: Sequence[str]) -> str:
    """The first few names in quotes, and how many more there are."""
    named = ", ".join(f"“{name}”" for name in names[:_NAMED])
    more = len(names) - _NAMED
    return f"{named} and {more:,} more" if more > 0 else named
