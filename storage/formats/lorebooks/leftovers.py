"""What a file says and our values don't: kept at import, and put back at export where it still holds."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

_MOST_TRIALS = 1_000  # an honest entry has some forty fields


def left_over(raw: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``raw`` that ``written``, made from the value it was read as, lacks or has otherwise."""
    kept: dict[str, Any] = {}
    for name, value in raw.items():
        ours = written.get(name)
        if isinstance(value, Mapping) and isinstance(ours, Mapping):
            if inner := left_over(value, ours):
                kept[name] = inner
        elif name not in written or not _equal(value, ours):
            kept[name] = value
    return kept


def restored(
    written: Mapping[str, Any], kept: Mapping[str, Any], same: Callable[[Mapping[str, Any]], bool]
) -> dict[str, Any]:
    """The fields written, with those of ``kept`` put back that don't change what they mean.

    Args:
        written: made from a value, perhaps edited since ``kept`` was taken.
        kept: of ``left_over``.
        same: whether fields are read as the same value as ``written``.
    """
    whole = _merged(written, kept)
    if same(whole):
        return whole
    result = dict(written)
    for one in islice(_single(kept, written), _MOST_TRIALS):
        trial = _merged(result, one)
        if same(trial):
            result = trial
    return result


def _equal(value: Any, ours: Any) -> bool:
    """Equal as JSON: True is not 1."""
    return bool(value == ours) and isinstance(value, bool) == isinstance(ours, bool)


def _single(kept: Mapping[str, Any], written: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, value in kept.items():
        ours = written.get(name)
        if isinstance(value, Mapping) and isinstance(ours, Mapping):
            yield from ({name: inner} for inner in _single(value, ours))
        else:
            yield {name: value}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in over.items():
        ours = result.get(name)
        if isinstance(value, Mapping) and isinstance(ours, Mapping):
            result[name] = _merged(ours, value)
        else:
            result[name] = value
    return result
