"""The neural memory beneath the text: what a long-context model remembers of a strand after each step.

It is a pure fold over the committed paragraphs: the state after a step is what the model makes of the step's
paragraph and of the state before. So it depends on no prompt, no retry and no restart, and can be made again
from the text at any time. The digest of the paragraphs says which text a state is of.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

# The digest of no paragraph at all.
NOTHING = ""
# A larger state is held by the process that writes and not kept: a database would take gigabytes for a story.
MOST_BYTES = 128 * 2**20
# Of larger ones only the last are kept.
_LARGE = 32 * 2**20
_REACH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuralState:
    """What is known of a model's memory after a step, without the memory itself.

    Attributes:
        strand_id: the strand that the step was written on.
        depth: the step.
        model: SPEC of the model that it is of.
        fingerprint: of that model; a state means nothing to another.
        digest: of the paragraphs that were read, ``chained`` from the first on.
        size: bytes.
        seconds: that reading the step's paragraph took.
        created_at: when it was made.
        is_kept: whether the memory itself is still kept, or would be made again.
        is_stale: whether a paragraph that was read has changed since.
    """

    strand_id: str
    depth: int
    model: str
    fingerprint: str
    digest: str
    size: int
    seconds: float
    created_at: datetime
    is_kept: bool = True
    is_stale: bool = False


def chained(before: str, paragraph: str) -> str:
    """The digest of all paragraphs up to one, from the digest of those before it."""
    return hashlib.sha256(f"{before}\n{paragraph}".encode()).hexdigest()


def chain(paragraphs: Iterable[str]) -> Iterator[str]:
    """The digest after each paragraph of a strand, from its first on."""
    digest = NOTHING
    for paragraph in paragraphs:
        digest = chained(digest, paragraph)
        yield digest


def stays(depth: int, last: int, size: int) -> bool:
    """Whether a state is still worth its room, when its strand has come to a depth.

    The further back, the sparser: of n steps about log₂ n + 2 stay, and to go back d steps costs reading
    fewer than 2 d paragraphs again. What doesn't stay now doesn't later either.

    Args:
        depth: of the state.
        last: the strand's last step.
        size: of the state, in bytes.
    """
    reach = _REACH * (depth & -depth) if size <= _LARGE else 1
    return last - depth <= reach
