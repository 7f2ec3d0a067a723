"""The one place that knows the implementations: settings in, a studio out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from storyloom.app.castings import Castings
from storyloom.app.embedding import Embedding
from storyloom.app.recurrence import Recurrence
from storyloom.app.settings import Settings
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.templates import Templates
from storyloom.generators.cores import calm_openmp
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.generators.rope import Rope, parse_rope
from storyloom.generators.scoring_apart import load_scorer
from storyloom.generators.spec import load_model, parse_spec
from storyloom.memory.ports import Embedder, Scorer, TextModel
from storyloom.memory.recall import RecallRule
from storyloom.storage.database import Database


@contextmanager
def open_studio(settings: Settings) -> Iterator[Studio]:
    """A studio on the settings' database; engines load when first used and are freed at the end.

    Args:
        settings: what was set.

    Raises:
        StoreUnavailable: the database can't be opened.
    """
    with open_works(settings) as (_, studio):
        yield studio


@contextmanager
def open_works(settings: Settings) -> Iterator[tuple[Shelf, Studio]]:
    """A studio and the shelf beneath it, for those who serve its queue; freed at the end.

    Raises:
        StoreUnavailable: the database can't be opened.
    """
    with open_memory(settings) as (shelf, embedder):
        castings = _castings(settings, embedder)
        embedding = Embedding(shelf.database, embedder)
        try:
            studio = Studio(
                shelf=shelf,
                recurrence=Recurrence(database=shelf.database, embedder=embedder, rule=RecallRule()),
                castings=castings,
                embedding=embedding,
                language=settings.language,
                trash=settings.trash_dir,
                presets=settings.presets_dir,
            )
            yield shelf, studio
        finally:
            embedding.close()
            castings.close()


@contextmanager
def open_memory(settings: Settings) -> Iterator[tuple[Shelf, Embedder]]:
    """The stories and the embedder of their passages, which loads when first used, without any text model.

    Raises:
        StoreUnavailable: the database can't be opened.
    """
    calm_openmp()  # first of all: torch and llama.cpp read it when they are imported
    database = Database(settings.url)
    try:
        # One thread: a torch operation on two would slow llama.cpp in this process for good.
        yield Shelf(database, settings.owner), MiniLMEmbedder(threads=1)
    finally:
        database.close()


def _castings(settings: Settings, embedder: Embedder) -> Castings:
    return Castings(
        load=_loader(settings),
        load_scorer=_scorer_loader(settings),
        embedder=embedder,
        templates=Templates(settings.templates_dir),
        writer=settings.model,
        others=settings.models,
        profile=settings.profile,
    )


def _loader(settings: Settings) -> Callable[[str], TextModel]:
    key = settings.api_key.get_secret_value() if settings.api_key else None
    rope = _rope(settings)

    def load(spec: str) -> TextModel:
        return load_model(
            parse_spec(spec),
            models_dir=settings.models_dir,
            context_tokens=settings.context_tokens,
            slots=settings.slots,
            threads=settings.threads,
            api_key=key,
            reproducible=settings.reproducible,
            rope=rope,
        )

    return load


def _scorer_loader(settings: Settings) -> Callable[[str], Scorer]:
    rope = _rope(settings)
    return lambda spec: load_scorer(
        parse_spec(spec), models_dir=settings.models_dir, threads=settings.threads, rope=rope
    )


def _rope(settings: Settings) -> Rope | None:
    return None if settings.rope is None else parse_rope(settings.rope)
