"""A scene to weave, and a model that counts words, for the tests of the agents."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from storyloom.app.agents.scene import Scene
from storyloom.app.events import Listener
from storyloom.memory.generation import Piece, Prompt, Request
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.story import Mode, Note, ShortMemory, Story
from storyloom.memory.weaver import Item

STORY = Story(
    id="story0000001",
    owner="local",
    title="The Gate",
    premise="A girl called Anna Reed lives in Millbrook.",
    mode=Mode.NOVEL,
    language="en",
    style="",
    outline="",
    authors_note="",
    settings={},
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def scene(**changes: object) -> Scene:
    """The second step of a story about a gate."""
    start = Scene(
        story=STORY,
        depth=2,
        plan="Anna opens the gate.",
        memory=ShortMemory((Note(STORY.premise, 0, pinned=True), Note("Anna has a key.", 1))),
        last="Nobody had seen Anna that day.",
        recalled=(Item(text="Once there was a dog.", source="step:s:1"),),
        recent_plans=(),
        index=StoryIndex(),
        seed=7,
    )
    return replace(start, **changes)  # type: ignore[arg-type]


@dataclass
class Counting:
    """Says one good paragraph; its tokens are words."""

    context_tokens: int = 2000
    features: frozenset[str] = frozenset({"prefill"})
    name: str = "fake"
    parameters: int | None = 135_000_000
    asked: list[Request] = field(default_factory=list)

    def stream(self, request: Request) -> Iterator[Piece]:
        """A paragraph, word by word."""
        self.asked.append(request)
        reply = " ran down to the gate before anybody woke. Behind it the whole orchard lay white and silent."
        return (Piece(f"{word} ") for word in reply.split(" ")[: request.max_tokens])

    def count_tokens(self, prompt: Prompt) -> int:
        """Words."""
        return len(prompt.split() if isinstance(prompt, str) else " ".join(m.content for m in prompt).split())

    def close(self) -> None:
        """Nothing to free."""


@dataclass
class Noting(Listener):
    """Keeps the notices."""

    notices: list[str] = field(default_factory=list)

    def on_notice(self, text: str) -> None:
        """Kept."""
        self.notices.append(text)
