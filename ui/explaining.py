"""``memory --why``: what each remembered item did to a paragraph, as the model's weights tell."""

from storyloom.app.influence import Effect, Explanation
from storyloom.app.offline import stay_offline
from storyloom.app.settings import load_settings
from storyloom.app.wiring import open_studio
from storyloom.ui import given, output, shapes
from storyloom.ui.bars import Bars
from storyloom.ui.fetching import fetch_missing
from storyloom.ui.stopping import Stop

_SHOWN = 60  # characters of an item's beginning


def why(reference: str, depth: int, *, strand: str | None, as_json: bool) -> None:
    """Score a paragraph with everything that its prompt held, and without each remembered item."""
    settings = load_settings()
    reference = given.spoken(reference, "story")
    with Stop() as stop, open_studio(settings) as studio:
        specs = [studio.influence.model(reference, depth, strand)]
        stay_offline(specs)
        fetch_missing(settings, specs)
        with Bars(stop) as bars:
            stop.patient = False  # nothing is being made that a stop could lose
            found = studio.influence.why(reference, depth, bars, strand)
    if as_json:
        output.emit(shapes.explanation(found))
    else:
        _tell(found)


def _tell(found: Explanation) -> None:
    total, tokens = found.likelihood.log_probability, found.likelihood.tokens
    output.say(
        f"Step {found.depth}: log-probability {total:.1f} over {tokens} tokens, {total / tokens:.2f} each, "
        f"by {found.model}."
    )
    if found.is_edited:
        output.note("The paragraph was edited by hand: it is scored as it stands, not as it was written.")
    if not found.effects:
        output.note("Nothing remembered stood in its prompt.")
        return
    output.say(
        "\nWith each item the paragraph is so much likelier (+) or less likely (-) than without, in nats:"
    )
    width = max(len(effect.record.slot) for effect in found.effects)
    for effect in found.effects:
        output.say(_line(effect, width))


def _line(effect: Effect, width: int) -> str:
    record = effect.record
    text = " ".join(record.text.split())[:_SHOWN]
    return f"{effect.change:+8.2f}  {record.slot:<{width}}  {record.source}  {text}"
