"""The prompts' templates, read and changed by whoever runs the server; every text of theirs is kept."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from storyloom.app.agents.slots import note_depth
from storyloom.app.shelf import Shelf
from storyloom.app.template_values import LISTS, SAMPLE, Facts, Rendered, samples, turns
from storyloom.app.templates import BrokenTemplate, Templates
from storyloom.memory.errors import InvalidSetting, StoreUnavailable
from storyloom.memory.names import cast
from storyloom.memory.story import Step, Story, Weaving
from storyloom.memory.weaver_strategies import strategy_of
from storyloom.storage.formats.files import write_bytes

PURPOSES: Final = {
    "writer": "Asks for the next paragraph, with everything that the story remembers for it.",
    "one_call": "Asks a strong model for paragraph, memory and plans in one answer.",
    "rewriter": "Asks for other words in the place of those that were marked.",
    "memory_keeper": "Makes a passage into one sentence for short-term memory.",
    "planner_offer": "Asks what happens next, once for each of the three plans.",
    "planner_openers": "Lists first words for plans, which a small model goes on from.",
    "planner_actions": "Lists first words for what a reader who plays could do.",
    "editor": "Lets a strong model choose among three plans and sharpen the chosen one.",
    "planner_outline": "Asks a strong model for the outline of a new story.",
    "planner_title": "Asks for the title of a story or a chapter.",
    "planner_name": "Asks for a name where a premise has none.",
}
LONGEST_TEMPLATE: Final = 100_000
_STAMP = "%Y%m%dT%H%M%S%fZ"
_FORMER = "former"
_REFUSED = (
    "The prompts’ templates are shared by everybody on this server, so a page with users can’t show or "
    "change them. Whoever runs the server changes them in the data folder’s templates, or in the studio "
    "started there without --auth-file."
)
# One after the other: what stands in the folder is put away before it is replaced.
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Listed:
    """A template in the list; ``is_own`` where a person's own file is used in place of ours."""

    name: str
    purpose: str
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A template as it is used.

    Attributes:
        name: what it is called.
        source: the text that is used.
        ours: the text that comes with Storyloom.
        is_own: a person's own file is used in place of ours.
        former: when each earlier text of a person's own was put away, newest first.
    """

    name: str
    source: str
    ours: str
    is_own: bool
    former: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A template rendered.

    Attributes:
        rendered: its turns.
        title: of the story whose values it has; empty for the sample's.
        unread: values that ours asks for and this text doesn't.
    """

    rendered: Rendered
    title: str
    unread: tuple[str, ...]


class TemplateEditing:
    """Reads and changes templates.

    Args:
        shelf: whose stories give the preview its values.
        templates: the prompts that every agent uses.
        is_refused: the owner is one of several users of a server, so nothing is shown or changed.
    """

    def __init__(self, shelf: Shelf, templates: Templates, *, is_refused: bool = False) -> None:
        self._shelf = shelf
        self._templates = templates
        self.is_refused = is_refused

    def all(self) -> tuple[Listed, ...]:
        """Every template, those that are used most first.

        Raises:
            InvalidSetting: the owner may not see them.
        """
        self._admit()
        return tuple(Listed(name, purpose, self._file(name).is_file()) for name, purpose in PURPOSES.items())

    def open(self, name: str) -> Opened:
        """A template as it is used; an own file that isn't UTF-8 is shown with marks where it breaks.

        Raises:
            InvalidSetting: there is no such template, or the owner may not see it.
            StoreUnavailable: the file can't be read.
        """
        self._admit(name)
        own = self._own(name)
        ours = self._templates.ours(name)
        return Opened(
            name=name,
            source=ours if own is None else own.decode("utf-8", "replace"),
            ours=ours,
            is_own=own is not None,
            former=tuple(_when(path) for path in self._former(name)),
        )

    def check(self, name: str, source: str) -> None:
        """Parse the text and render it with samples of every kind of story.

        Raises:
            InvalidSetting: it can't be used: the line and the reason are told; or the owner may not.
        """
        self._admit(name)
        if len(source) > LONGEST_TEMPLATE:
            raise InvalidSetting(
                f"This text of {name} has {len(source):,} characters, and at most {LONGEST_TEMPLATE:,} can "
                "be used. Shorten it."
            )
        for facts in samples():
            self._rendered(name, source, facts)

    def save(self, name: str, source: str) -> Opened:
        """Use this text from the next paragraph on; what stood there before is put away.

        Raises:
            InvalidSetting: the text can't be used, and nothing has changed; or the owner may not.
            StoreUnavailable: it can't be written.
        """
        source = source.replace("\r\n", "\n").rstrip() + "\n"
        self.check(name, source)
        if source == self._templates.ours(name):
            return self.back_to_ours(name)
        with _LOCK:
            if self._own(name) != source.encode():
                self._put_away(name)
                write_bytes(self._file(name), source.encode())
        return self.open(name)

    def back_to_ours(self, name: str) -> Opened:
        """Use the template that comes with Storyloom; a person's own text is put away.

        Raises:
            InvalidSetting: there is no such template, or the owner may not change it.
            StoreUnavailable: the file can't be moved.
        """
        self._admit(name)
        with _LOCK:
            self._put_away(name)
            try:
                self._file(name).unlink(missing_ok=True)
            except OSError as error:
                raise _unreachable(self._file(name), error) from error
        return self.open(name)

    def former(self, name: str, when: datetime) -> str:
        """A text of a person's own that was put away then.

        Raises:
            InvalidSetting: there is none, or the owner may not see it.
            StoreUnavailable: it can't be read.
        """
        self._admit(name)
        found = next((path for path in self._former(name) if _when(path) == when), None)
        if found is None:
            raise InvalidSetting(f"No text of {name} was put away at {when:%-d %B %Y, %H:%M:%S} UTC.")
        try:
            return found.read_bytes().decode("utf-8", "replace")
        except OSError as error:
            raise _unreachable(found, error) from error

    def preview(self, name: str, source: str) -> Preview:
        """The text as a model would read it, with the values of the story that was touched last.

        Raises:
            InvalidSetting: the text can't be used: the line and the reason are told; or the owner may not.
        """
        self._admit(name)
        title, facts = self._facts()
        return Preview(self._rendered(name, source, facts), title, self._unread(name, source))

    def _admit(self, name: str | None = None) -> None:
        if self.is_refused:
            raise InvalidSetting(_REFUSED)
        if name is not None and name not in PURPOSES:
            raise InvalidSetting(
                f"There is no prompt template {name[:40]!r}. There are {', '.join(PURPOSES)}."
            )

    def _rendered(self, name: str, source: str, facts: Facts) -> Rendered:
        try:
            found = turns(self._templates, name, source, facts)
        except BrokenTemplate as error:
            kind = f"{facts.mode.value}, language {facts.language}"
            if error.line is None:
                raise InvalidSetting(f"This text of {name} can’t be used ({kind}): {error.why}.") from error
            raise InvalidSetting(
                f"This text of {name} can’t be used ({kind}): line {error.line}: {error.why}."
            ) from error
        if name not in LISTS and not any(piece.text for turn in found.turns for piece in turn.pieces):
            raise InvalidSetting(f"This text of {name} can’t be used: it says nothing to the model.")
        return found

    def _unread(self, name: str, source: str) -> tuple[str, ...]:
        """What a model isn't told any more; nothing where the text takes in others that may ask for it."""
        ours = self._templates.reads(name, self._templates.ours(name))
        reads = self._templates.reads(name, source)
        return () if ours is None or reads is None else tuple(sorted(ours - reads))

    def _facts(self) -> tuple[str, Facts]:
        """The title and the values of the story that was touched last; the sample's where there is none."""
        with self._shelf.database.unit_of_work(write=False) as work:
            for summary in work.stories.list(self._shelf.owner):
                line = work.strands.main(summary.id)
                head = work.steps.head(line.id)
                if head is not None:
                    story = work.stories.get(summary.id)
                    weaving = work.provenance.get(head.strand_id, head.depth)
                    records = [(one.slot, one.text) for one in weaving.slots if one.entered]
                    return story.title, _facts_of(story, head, records, weaving.weaving)
        return "", SAMPLE

    def _file(self, name: str) -> Path:
        return self._templates.overrides / f"{name}.j2"

    def _own(self, name: str) -> bytes | None:
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreachable(self._file(name), error) from error

    def _former(self, name: str) -> list[Path]:
        """The texts that were put away, newest first; their names are times."""
        folder = self._templates.overrides / _FORMER / name
        return sorted((path for path in folder.glob("*.j2") if _is_time(path)), reverse=True)

    def _put_away(self, name: str) -> None:
        own = self._own(name)
        if own is not None:
            folder = self._templates.overrides / _FORMER / name
            write_bytes(folder / f"{datetime.now(UTC):{_STAMP}}.j2", own)


def _facts_of(story: Story, head: Step, records: Sequence[tuple[str, str]], weaving: Weaving | None) -> Facts:
    """A story as it stands, and what its last paragraph's writer was given of it."""
    woven: dict[str, tuple[str, ...]] = {}
    for slot, text in records:
        woven[slot] = (*woven.get(slot, ()), text)
    now = {
        "style": story.style,
        "premise": story.premise,
        "outline": story.outline,
        "authors_note": story.authors_note,
        "memory": head.memory.text,
        "last": head.paragraph,
        "plan": head.plans[0].text if head.plans else "",
    }
    told = [head.paragraph, head.memory.text, story.premise]
    values = weaving.values if weaving else {}
    order = values.get("order") or strategy_of(story.settings).reading(lambda names: len(names))
    return Facts(
        texts={slot: (text,) for slot, text in now.items() if text},
        woven=woven if weaving else None,
        plans=tuple(plan.text for plan in head.plans) or SAMPLE.plans,
        people=tuple(cast(told, story.language, limit=3)),
        language=story.language,
        mode=story.mode,
        order=tuple(order),
        note_depth=note_depth(story.settings),
    )


def _is_time(path: Path) -> bool:
    try:
        _when(path)
    except ValueError:
        return False
    return True


def _when(path: Path) -> datetime:
    return datetime.strptime(path.stem, _STAMP).replace(tzinfo=UTC)


def _unreachable(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"{path} can't be read or changed: {error.strerror}. Look at its permissions.")
