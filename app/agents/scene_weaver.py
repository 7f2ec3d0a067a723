"""Weaves a scene into the prompt of the agent that writes it, and tells what a person misses in it."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from storyloom.app.agents.scene import Scene
from storyloom.app.agents.slots import Room, note_depth, slots_of
from storyloom.app.events import Listener
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.app.weaving import is_shown, render
from storyloom.memory.generation import Prompt
from storyloom.memory.lore_results import LoreScan
from storyloom.memory.ports import TextModel
from storyloom.memory.story import SlotRecord, Weaving
from storyloom.memory.weaver import Slot, Texts, weave
from storyloom.memory.weaver_strategies import strategy_of

_MOST_TOLD, _WORDS_TOLD = 3, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WovenScene:
    """A scene's prompt, what stands in it or was left out, and how it was made."""

    prompt: Prompt
    records: tuple[SlotRecord, ...]
    weaving: Weaving


class SceneWeaver:
    """Weaves for one agent.

    Args:
        agent: who writes; its template has the same name.
        model: counts the tokens.
        profile: how much of each text the model is given.
        templates: the prompts.
    """

    def __init__(self, agent: str, model: TextModel, profile: Profile, templates: Templates) -> None:
        self._agent = agent
        self._model = model
        self._profile = profile
        self._templates = templates
        self._told: set[str] = set()

    def weave(self, scene: Scene, listener: Listener, *, max_tokens: int, **values: Any) -> WovenScene:
        """The scene's prompt, as much of it as fits.

        Args:
            scene: where the story stands.
            listener: is told, once, of pinned notes, constant lore and the like that had to be cut.
            max_tokens: what the answer may have of the model's context.
            values: what the template is given beside the slots, as JSON data.

        Raises:
            InvalidSetting: the story's weaver or note depth is none, or a user's own template is broken.
            PromptTooLong: premise, outline, style and note alone don't fit the context.
        """
        story, budget = scene.story, self._model.context_tokens - max_tokens
        strategy = strategy_of(story.settings)
        template = self._templates.source(self._agent)
        depth = note_depth(story.settings)
        slots = slots_of(scene, Room(profile=self._profile, strategy=strategy, budget=budget))
        read = self._templates.reads(self._agent, template)
        unseen = [slot for slot in slots if slot.items and not is_shown(slot.name, template, read, depth)]

        def given(texts: Texts) -> dict[str, Any]:
            order = strategy.reading(lambda names: self._tokens(texts, names))
            return {
                "agent": self._agent,
                "language": story.language,
                "mode": story.mode.value,
                "note_depth": depth,
                "order": list(order),
                **values,
            }

        woven = weave(
            [slot for slot in slots if slot not in unseen],
            render=lambda texts: render(self._templates, template, texts, given(texts)),
            count=self._model.count_tokens,
            budget=budget,
            language=story.language,
        )
        left_out = tuple(record for slot in unseen for record in _left_out(slot))
        pinned = _pinned(unseen)
        hidden = [record for record in left_out if record.source in pinned]
        self._tell(scene.depth, woven.lost, hidden, listener)
        return WovenScene(
            prompt=woven.prompt,
            records=woven.records + left_out,
            weaving=Weaving(
                strategy=strategy.name,
                budget=budget,
                tokens=woven.tokens,
                template=template,
                values=given(woven.texts),
                lore=_lore_data(scene.lore),
            ),
        )

    def _tokens(self, texts: Texts, names: Sequence[str]) -> int:
        text = "\n".join(part for name in names for part in texts[name])
        return self._model.count_tokens(text) if text else 0

    def _tell(
        self, depth: int, lost: Sequence[SlotRecord], hidden: Sequence[SlotRecord], listener: Listener
    ) -> None:
        """Tell of each text once."""
        lost = [record for record in lost if record.source not in self._told]
        hidden = [record for record in hidden if record.source not in self._told]
        if lost:
            listener.on_notice(
                f"The prompt of step {depth} has no room for {_listed(lost)}. "
                f"`storyloom show STORY --prompt {depth}` shows all that was cut. Shorten what is pinned or "
                "constant, or use a model with a longer context."
            )
        if hidden:
            listener.on_notice(
                f"The prompt template {self._agent}.j2 in your data folder has no place for "
                f"{_listed(hidden)}. Take over what Storyloom's own has for "
                f"{', '.join(dict.fromkeys(record.slot for record in hidden))}, or remove your copy."
            )
        self._told |= {record.source for record in (*lost, *hidden)}


def _left_out(slot: Slot) -> tuple[SlotRecord, ...]:
    """The records of a slot that the template has no place for."""
    return tuple(
        SlotRecord(
            slot=slot.name,
            source=item.source,
            text=item.text,
            tokens=0,
            score=item.score,
            parts=item.parts,
            cut=item.text,
        )
        for item in slot.items
    )


def _pinned(slots: Iterable[Slot]) -> frozenset[str]:
    return frozenset(item.source for slot in slots for item in slot.items if item.pinned)


def _listed(records: Sequence[SlotRecord]) -> str:
    """What a person calls the texts: their first words, and where they come from."""
    told = [f"“{_beginning(record.cut)}” ({record.source})" for record in records[:_MOST_TOLD]]
    rest = len(records) - len(told)
    return ", ".join(told) + (f" and {rest} more" if rest else "")


def _beginning(text: str) -> str:
    words = text.split()
    return " ".join(words[:_WORDS_TOLD]) + ("…" if len(words) > _WORDS_TOLD else "")


def _lore_data(scan: LoreScan) -> dict[str, Any]:
    """What the lore leaves to the next step, and why each entry fired."""
    return {
        "firings": {entry: asdict(firing) for entry, firing in scan.state.firings.items()},
        "why": {fired.source: str(fired.why) for fired in scan.fired},
    }
