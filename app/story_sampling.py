"""How a story's writer draws: what its model's profile says, what the story says over it, and presets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from storyloom.app.castings import Castings
from storyloom.app.presets import Preset, Presets, preset_of, usable
from storyloom.app.sampling import SAMPLING, sampling_of
from storyloom.app.shelf import Shelf
from storyloom.app.story_settings import StorySettings
from storyloom.memory.generation import Sampling

# What happens where nobody asks: a sampler is off, and what belongs to it is as the engine has it.
UNASKED: Final[Mapping[str, Any]] = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
    "repetition_window": 0,
    "dry_multiplier": 0.0,
    "xtc_probability": 0.0,
    "xtc_threshold": 0.1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """How a story's next paragraph is drawn.

    Attributes:
        model: SPEC of the model that writes it.
        profile: what the model's profile asks for.
        own: what the story asks for instead.
        can: the fields of ``Sampling`` that the model's engine knows.
        preset: the preset that ``own`` is; empty where it is none.
    """

    model: str
    profile: Mapping[str, Any]
    own: Mapping[str, Any]
    can: frozenset[str]
    preset: str

    @property
    def values(self) -> dict[str, Any]:
        """What the model will be asked for."""
        both = {**self.profile, **self.own}
        return {name: value for name, value in both.items() if value is not None}


class StorySampling:
    """Reads and changes the sampling of stories.

    Args:
        shelf: whose stories.
        castings: know the models and their profiles.
        settings: change a story, with a revision.
        presets: the owner's.
    """

    def __init__(self, shelf: Shelf, castings: Castings, settings: StorySettings, presets: Presets) -> None:
        self._shelf = shelf
        self._castings = castings
        self._settings = settings
        self._presets = presets

    def of(self, reference: str) -> Drawn:
        """How the story's next paragraph is drawn; its model is loaded for that.

        Raises:
            StoryNotFound: the reference names nothing, or more than one.
            InvalidSetting: the story came with a value that can't be used.
            ModelUnavailable: its model can't be loaded.
        """
        story, _ = self._shelf.find(reference)
        spec = story.settings.get("model")
        model = self._castings.writer(spec)
        writing = self._castings.profile(spec).writing
        own = sampling_of(story)
        can = model.features & {field.name for field in fields(Sampling)}
        return Drawn(
            model=model.name,
            profile={name: value for name in sorted(can) if (value := getattr(writing, name)) is not None},
            own=own,
            can=can,
            preset=preset_of(own, self._presets.all(), can),
        )

    def choose(self, reference: str, name: str) -> tuple[Preset, Drawn]:
        """Let a preset's values be the story's, those left out that its model's engine doesn't know.

        Returns:
            The preset, and how the next paragraph is drawn now.

        Raises:
            InvalidSetting: there is no such preset.
            StoryNotFound, ModelUnavailable: as ``of``.
        """
        preset = self._presets.named(name)
        self._set(reference, usable(preset.values, self.of(reference).can))
        return preset, self.of(reference)

    def change(self, reference: str, values: Mapping[str, Any]) -> Drawn:
        """Draw with these values; where they are the profile's, the story says nothing of its own.

        What isn't among ``values`` stays as it is.

        Raises:
            InvalidSetting: there is no such field, or it can't have this value.
            StoryNotFound, ModelUnavailable: as ``of``.
        """
        self._set(reference, self.own_of(reference, values))
        return self.of(reference)

    def own_of(self, reference: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the story would say of its own, were it drawn with these values.

        Raises:
            InvalidSetting, StoryNotFound, ModelUnavailable: as ``of``.
        """
        now = self.of(reference)
        kept = {name: value for name, value in now.own.items() if name not in values}
        said = {name: value for name, value in values.items() if not _is_unsaid(name, value, now.profile)}
        return {**kept, **said}

    def _set(self, reference: str, own: Mapping[str, Any]) -> None:
        """One revision for all of it; none where it stays the same."""
        story, _ = self._shelf.find(reference)
        if dict(own) != dict(sampling_of(story)):
            self._settings.change(reference, {SAMPLING: json.dumps(own) if own else ""})


def _is_unsaid(name: str, value: Any, profile: Mapping[str, Any]) -> bool:
    """Whether a value asks for what happens anyway."""
    return bool(value == profile.get(name, UNASKED.get(name)))
