"""Inclusion groups of lore: of the entries of one group that would fire together, one does."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from storyloom.memory.lore import LoreEntry, LoreSettings
from storyloom.memory.lore_draws import draw
from storyloom.memory.lore_results import Cause, Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An entry with a cause to fire.

    Attributes:
        entry: it.
        place: its place in the book.
        why: the cause.
        matches: how many of its keys were found, as group scoring counts them.
    """

    entry: LoreEntry
    place: int
    why: Why
    matches: int = 0


def losers(
    candidates: Sequence[Candidate], taken: Collection[str], settings: LoreSettings, seed: int
) -> set[str]:
    """Ids of the candidates that another entry of their group keeps out.

    A group in which an entry fired already takes no other. Sticky entries stay, whoever else would come.
    With group scoring only those with most keys found go on; then the highest order wins among those that
    override, or a draw by weight (docs.sillytavern.app, "Inclusion Group").

    Args:
        candidates: who would fire together.
        taken: groups in which an entry fired before.
        settings: the book's, for entries that leave group scoring open.
        seed: the step's.
    """
    lost: set[str] = set()
    for group in sorted({name for candidate in candidates for name in candidate.entry.groups}):
        members = [one for one in candidates if group in one.entry.groups and one.entry.id not in lost]
        staying = [one for one in members if one.why.cause is Cause.STICKY]
        if not staying and group not in taken:
            staying = _winner(members, group, settings, seed)
        lost |= {one.entry.id for one in members} - {one.entry.id for one in staying}
    return lost


def _winner(members: list[Candidate], group: str, settings: LoreSettings, seed: int) -> list[Candidate]:
    members = _best_scored(members, settings)
    if len(members) < 2:
        return members
    overriding = [one for one in members if one.entry.group_override]
    if overriding:
        return [min(overriding, key=lambda one: (-one.entry.order, one.place))]
    return [min(members, key=lambda one: (_lot(one, group, seed), one.entry.id))]


def _best_scored(members: list[Candidate], settings: LoreSettings) -> list[Candidate]:
    """Without those that take part in group scoring and have fewer keys found than another."""
    most = max((one.matches for one in members), default=0)
    return [one for one in members if one.matches == most or not _is_scored(one.entry, settings)]


def _is_scored(entry: LoreEntry, settings: LoreSettings) -> bool:
    return settings.group_scoring if entry.group_scoring is None else entry.group_scoring


def _lot(one: Candidate, group: str, seed: int) -> float:
    """The lowest lot wins, with a chance in proportion to its weight, whoever else draws.

    Lots are exponentially distributed with the weight as their rate (Efraimidis and Spirakis 2006).
    """
    if one.entry.group_weight <= 0:
        return math.inf
    return -math.log1p(-draw(seed, "group", group, one.entry.id)) / one.entry.group_weight
