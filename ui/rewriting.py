"""``rewrite``: words of a paragraph put otherwise by the model, printed or kept."""

import typer

from storyloom.app.events import Cancelled
from storyloom.app.offline import stay_offline
from storyloom.app.settings import Settings, load_settings
from storyloom.app.wiring import open_studio
from storyloom.memory.errors import StoryloomError
from storyloom.ui import given, output, shapes
from storyloom.ui.bars import Bars
from storyloom.ui.fetching import fetch_missing
from storyloom.ui.stopping import Stop


def rewrite(  # noqa: PLR0913  (an argument an option)
    reference: str,
    depth: int,
    instruction: str,
    *,
    words: str,
    keep: bool,
    strand: str | None,
    seed: int | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Print other words for a paragraph or a part of it, and keep them where that is asked."""
    settings = load_settings()
    reference = given.spoken(reference, "story")
    instruction, words = given.text(instruction, "instruction"), given.text(words, "words")
    with Stop() as stop, open_studio(settings) as studio:
        marked = studio.rewriting.mark(reference, depth, instruction, strand, words=words)
        own = studio.show(marked.story_id, last=0).story.settings.get("model")
        _prepare(settings, model or own or settings.model)
        with Bars(stop) as bars:
            try:
                proposed = studio.rewriting.propose(marked, bars, seed=seed, model=model)
            except (Cancelled, KeyboardInterrupt) as error:
                output.note(str(error) if isinstance(error, Cancelled) else "Stopped.")
                raise typer.Exit(stop.exit_code) from error
        if not as_json:
            output.say(proposed.text)
        try:
            edited = studio.rewriting.keep(marked, proposed.text) if keep else None
        except StoryloomError:
            if as_json:
                output.note(f"The proposal was: {proposed.text}")
            raise
    if as_json:
        output.emit(
            {
                "depth": depth,
                "strand": marked.strand_id,
                "old": marked.passage,
                "new": proposed.text,
                "paragraph": marked.with_words(proposed.text),
                "kept": edited is not None,
                "stale": [shapes.stale(one) for one in (edited.stale if edited else ())],
            }
        )
    elif edited is None:
        output.note("Nothing was changed. With --keep the words are put in; another --seed brings others.")
    else:
        output.note(
            f"Step {depth} has these words now; `storyloom undo {reference!r}` brings the old ones back."
        )


def _prepare(settings: Settings, spec: str) -> None:
    """Keep the libraries offline, and fetch what the rewriter's model lacks."""
    specs = [settings.models.get("rewriter") or settings.models.get("writer") or spec]
    stay_offline(specs)
    fetch_missing(settings, specs)
