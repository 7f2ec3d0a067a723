"""The plans as cards that can be edited: which one is meant, as plain values. Knows no component."""

from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import write_view
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place

CARDS = 3


def filled(plans: tuple[str, ...]) -> tuple[str, ...]:
    """The plans, a card each."""
    return (*plans, *[""] * CARDS)[:CARDS]


def write_this(number: int, house: House, place: Place, text: str) -> write_view.View:
    """Write the next paragraph by a card, as it was offered or as the person changed it."""
    if not text.strip():
        raise InvalidText(gettext("This plan is empty. Write what should happen, or take another one."))
    is_own = text.strip() != _offered(house, place)[number - 1]
    return write_view.go_on(house, place, 0 if is_own else number, text if is_own else "")


def write_on(house: House, place: Place, own_plan: str, *cards: str) -> write_view.View:
    """Write the next paragraph by the one plan that the person wrote or changed, else Storyloom's choice."""
    changed = [
        text
        for text, plan in zip(cards, _offered(house, place), strict=True)
        if text.strip() not in ("", plan)
    ]
    meant = [text for text in (own_plan, *changed) if text.strip()]
    if len(meant) > 1:
        raise InvalidText(
            gettext(
                "More than one plan was written or changed here. "
                "Press “Write this” at the one that is meant, or empty the others."
            )
        )
    return write_view.go_on(house, place, 0, meant[0] if meant else "")


def _offered(house: House, place: Place) -> tuple[str, ...]:
    """The plans that the page shows, which are old ones where the story has gone on elsewhere."""
    steps = house.studio.show(place.story_id, place.strand_id, last=place.window).steps
    plans = next((step.plans for step in steps if step.depth == place.depth), ())
    return filled(tuple(plan.text.strip() for plan in plans))
