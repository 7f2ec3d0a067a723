"""Presets of the writer's sampling: ours in one table, and each owner's own in a file of the data folder.

What a preset doesn't name stays as the model's profile has it.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from storyloom.app.given_text import required
from storyloom.app.sampling import checked_sampling
from storyloom.memory.errors import InvalidSetting, InvalidText, StoreUnavailable
from storyloom.storage.formats.files import write_text

LONGEST_NAME: Final = 60
# Presets are few and small; a file is read, changed and written whole by one at a time.
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Preset:
    """Values of the sampling under a name.

    Attributes:
        name: what a person calls it.
        values: by ``Sampling``'s field names.
        why: what it is for; empty for a person's own.
    """

    name: str
    values: Mapping[str, Any]
    why: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it comes with Storyloom, and can't be changed."""
        return self in OURS


# llama.cpp cuts by top_p and min_p before it applies the temperature: a hot draw then chooses more freely
# among the same sound words, which is why temperatures above 1 stay readable (arXiv 2407.01082).
OURS: Final = (
    Preset(
        "Steady",
        {"temperature": 0.5, "min_p": 0.15},
        "Takes the likely words: the scene keeps to its plan and names stay right, but the prose is plainer "
        "and repeats itself sooner.",
    ),
    Preset(
        "Balanced",
        {},
        "The model’s own: exactly the values that its profile was measured with.",
    ),
    Preset(
        "Lively",
        {"temperature": 0.95},
        "A little hotter, with the profile’s own cut below: fresher words, and now and then one that has to "
        "be drawn again.",
    ),
    Preset(
        "Wild",
        {"temperature": 1.25, "min_p": 0.1, "top_p": 0.95},
        "Surprises: hot, but only among words at least a tenth as likely as the likeliest, so that sentences "
        "hold together. Where an engine has no min_p, top_p alone cuts off what makes no sense.",
    ),
)
_OURS_BY_NAME = {preset.name.casefold(): preset for preset in OURS}


@dataclass(slots=True)
class _Kept:
    """A file of presets: those there are, and every one that was replaced or deleted, oldest first."""

    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    former: list[dict[str, Any]] = field(default_factory=list)

    def put_away(self, name: str) -> None:
        """Keep what a preset is now, before it changes or goes."""
        if name in self.presets:
            self.former.append({"name": name, "values": self.presets[name]})


class Presets:
    """The presets that one owner can choose from.

    Args:
        folder: where owners' presets are kept, a file each; it need not exist.
        owner: whose.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        # An owner's name may be none that a file can have.
        self._file = folder / f"{sha256(owner.encode()).hexdigest()[:16]}.json"
        self._owner = owner

    def all(self) -> tuple[Preset, ...]:
        """Ours, then the owner's by name.

        Raises:
            InvalidSetting: the owner's file can't be used.
        """
        return (*OURS, *self.own())

    def own(self) -> tuple[Preset, ...]:
        """The owner's alone, by name.

        Raises:
            InvalidSetting: their file can't be used.
        """
        kept = self._read().presets
        return tuple(Preset(name, kept[name]) for name in sorted(kept, key=str.casefold))

    def named(self, name: str) -> Preset:
        """The preset of a name.

        Raises:
            InvalidSetting: there is none, or the owner's file can't be used.
        """
        for preset in self.all():
            if preset.name.casefold() == name.strip().casefold():
                return preset
        raise InvalidSetting(
            f"There is no preset {name[:LONGEST_NAME]!r}. "
            f"There are {', '.join(preset.name for preset in self.all())}."
        )

    def save(self, name: str, values: Mapping[str, Any]) -> Preset:
        """Keep values under a name; the owner's preset of that name makes way and can be brought back.

        Raises:
            InvalidText: the name is empty, too long, or one of ours.
            InvalidSetting: a value can't be used.
            StoreUnavailable: the file can't be written.
        """
        name, values = self._checked(name), checked_sampling(values)
        with _LOCK:
            kept = self._read()
            name = _same(kept, name) or name
            kept.put_away(name)
            kept.presets[name] = dict(values)
            self._write(kept)
        return Preset(name, values)

    def rename(self, old: str, new: str) -> Preset:
        """Give the owner's preset another name.

        Raises:
            InvalidText: the name is empty, too long, or another preset's.
            InvalidSetting: the owner has no preset of the old name.
            StoreUnavailable: the file can't be written.
        """
        new = self._checked(new)
        with _LOCK:
            kept = self._read()
            old = self._owners(kept, old)
            if _same(kept, new) not in (None, old):
                raise InvalidText(f"You have a preset {new!r} already. Choose another name.")
            kept.presets[new] = kept.presets.pop(old)
            self._write(kept)
            return Preset(new, kept.presets[new])

    def delete(self, name: str) -> None:
        """Delete the owner's preset; it can be brought back.

        Raises:
            InvalidSetting: the owner has no preset of that name.
            StoreUnavailable: the file can't be written.
        """
        with _LOCK:
            kept = self._read()
            name = self._owners(kept, name)
            kept.put_away(name)
            del kept.presets[name]
            self._write(kept)

    def bring_back(self, name: str) -> Preset:
        """Bring back what the owner's preset of a name was before it was last replaced or deleted.

        Raises:
            InvalidSetting: there was none.
            StoreUnavailable: the file can't be written.
        """
        with _LOCK:
            kept = self._read()
            before = next((one for one in reversed(kept.former) if one["name"] == name), None)
            if before is None:
                raise InvalidSetting(f"There was no other preset {name[:LONGEST_NAME]!r} before.")
            kept.former.remove(before)
            kept.put_away(name)
            kept.presets[name] = before["values"]
            self._write(kept)
            return Preset(name, kept.presets[name])

    @staticmethod
    def _checked(name: str) -> str:
        name = " ".join(required(name, "preset’s name", LONGEST_NAME).split())
        if name.casefold() in _OURS_BY_NAME:
            raise InvalidText(f"{name!r} is a preset that comes with Storyloom. Choose another name.")
        return name

    @staticmethod
    def _owners(kept: _Kept, name: str) -> str:
        found = _same(kept, name)
        if found is None:
            raise InvalidSetting(f"You have no preset {name[:LONGEST_NAME]!r} of your own.")
        return found

    def _read(self) -> _Kept:
        try:
            document = json.loads(self._file.read_text(encoding="utf-8"))
            presets = {str(name): checked_sampling(values) for name, values in document["presets"].items()}
            former = [
                {"name": str(one["name"]), "values": checked_sampling(one["values"])}
                for one in document["former"]
            ]
        except FileNotFoundError:
            return _Kept()
        except OSError as error:
            raise StoreUnavailable(
                f"Your presets in {self._file} can't be read: {error.strerror}."
            ) from error
        except (ValueError, LookupError, TypeError, AttributeError, InvalidSetting) as error:
            raise InvalidSetting(
                f"Your presets in {self._file} can't be used: {error}. Mend the file or move it away."
            ) from error
        return _Kept(presets, former)

    def _write(self, kept: _Kept) -> None:
        document = {"owner": self._owner, "presets": kept.presets, "former": kept.former}
        write_text(self._file, json.dumps(document, ensure_ascii=False, indent=1))


def preset_of(values: Mapping[str, Any], presets: Sequence[Preset], fields: frozenset[str]) -> str:
    """The name of the preset whose values these are; empty where there is none.

    Args:
        values: what a story sets of its sampling.
        presets: to choose among.
        fields: what the story's model can be asked; of a preset the rest was left out.
    """
    return next((preset.name for preset in presets if usable(preset.values, fields) == dict(values)), "")


def usable(values: Mapping[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    """Those of the values that a model can be asked for."""
    return {name: value for name, value in values.items() if name in fields}


def _same(kept: _Kept, name: str) -> str | None:
    """The owner's preset of this name, however it is capitalised."""
    return next((one for one in kept.presets if one.casefold() == name.casefold()), None)
