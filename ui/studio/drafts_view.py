"""Three drafts side by side, as plain values, and the handlers that make them. Knows no component."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import plans_html
from storyloom.ui.studio.following import LOOK_SECONDS
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Visible


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes; ``drafting`` names the drafts that are being written, for the page to follow."""

    place: Place | None = None
    notice: str | None = None
    draft_all: Visible | None = None
    drafts: str | None = None
    drafting: str | None = None


def opened(house: House, place: Place, *, has_plans: bool) -> View:
    """The drafts of a strand's next paragraph, as long as it has no other."""
    drafting = house.writers.drafting_of(place.strand_id, place.depth)
    is_written = drafting is not None and not drafting.done
    return View(
        draft_all=Visible(has_plans and drafting is None),
        # Those that are being written are shown by ``follow`` alone: this answer may come after its last.
        drafts=None if is_written else plans_html.drafts(drafting),
        drafting=drafting.id if drafting and is_written else "",
    )


def draft_all(house: House, place: Place, *plans: str) -> View:
    """Write the next paragraph by each of the cards, one after another."""
    given = [plan for plan in plans if plan.strip()]
    head = house.studio.show(place.story_id, place.strand_id, last=1).steps
    if not head or not given:
        raise InvalidText(gettext("There is no plan to draft by. Write one in a card first."))
    if head[0].depth != place.depth:
        raise InvalidText(gettext("The story went on elsewhere. Reload the page to see its new plans."))
    drafting = house.writers.draft(house.studio, place.story_id, place.strand_id, place.depth, given)
    return View(draft_all=Visible(False), drafts=plans_html.drafts(drafting), drafting=drafting.id, notice="")


async def follow(house: House, _place: Place, drafting_id: str) -> AsyncIterator[View]:
    """What is being drafted, again and again until all drafts have ended."""
    drafting = house.writers.drafting(drafting_id)
    seen = ""
    while drafting is not None:
        is_last = drafting.done
        if (now := plans_html.drafts(drafting)) != seen:
            yield View(drafts=now)
            seen = now
        if is_last:
            return
        await asyncio.sleep(LOOK_SECONDS)


def pick(house: House, place: Place, picked: Mapping[str, str]) -> View:
    """Keep a draft, which opens its strand; stop the drafts; or close them. Their strands stay."""
    drafting = house.writers.drafting_of(place.strand_id, place.depth)
    if picked["pick"] == "keep":
        return View(place=replace(place, strand_id=picked["strand"], writing_id=""), drafts="", notice="")
    if drafting is None:
        return View(drafts="")
    drafting.stop()
    if picked["pick"] == "close":
        house.writers.forget(drafting)
        return View(drafts="", draft_all=Visible(True))
    return View()
