"""Files that a batch's stories name: texts to read, lore to import, exports to write."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from storyloom.app.batch.places import Problem, Where
from storyloom.app.given_text import required
from storyloom.generators.spec import parse_spec
from storyloom.memory.errors import InvalidText
from storyloom.storage.formats import EXPORT_SUFFIXES

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class Files:
    """Files of one batch. What is wrong with one becomes a problem of the batch.

    Args:
        folder: what relative paths start from.
        problems: takes what is wrong.
    """

    def __init__(self, folder: Path, problems: list[Problem]) -> None:
        self.problems = problems
        self._folder = folder
        self._texts: dict[tuple[Path, str], str] = {}
        self._inputs: set[Path] = set()
        self._exported: dict[Path, tuple[str, Where]] = {}

    def text(self, values: Mapping[str, Any], name: str, where: Where, longest: int) -> str:
        """A text from its field, or from the file that its ``_file`` field names; empty without either."""
        given = values.get(name, "")
        file = values.get(f"{name}_file")
        if file is None:
            return "\n".join(given) if isinstance(given, list) else given
        path = self._path(file)
        self._inputs.add(path)
        if (path, name) not in self._texts:
            self._texts[path, name] = self._read(path, name, where, longest)
        return self._texts[path, name]

    def lore(self, given: Iterable[str], where: Where) -> tuple[str, ...]:
        """Lore files, absolute."""
        paths = [self._path(file) for file in given]
        self._inputs.update(paths)
        for path in paths:
            if not path.is_file():
                self._tell(where, f"{path}: there is no such file")
        return tuple(map(str, paths))

    def exports(
        self, given: Iterable[str], where: Where, key: str, filled: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Files to export to, absolute, with their placeholders filled in.

        Two stories never have the same.
        """
        paths = []
        for template in given:
            unknown = [name for name in _PLACEHOLDER.findall(template) if name not in filled]
            path = self._path(_PLACEHOLDER.sub(lambda found: filled.get(found[1], ""), template))
            if unknown:
                known = ", ".join(f"{{{name}}}" for name in filled)
                self._tell(where, f"{{{unknown[0]}}} is no placeholder; there are {known}")
            elif path.suffix.lower() not in EXPORT_SUFFIXES:
                self._tell(where, f"{template}: a story is exported to {', '.join(sorted(EXPORT_SUFFIXES))}")
            elif path in self._exported:
                other, _ = self._exported[path]
                self._tell(
                    where, f"{path}: both {other!r} and {key!r} would be exported to it; write {{key}}"
                )
            else:
                self._exported[path] = key, where
                paths.append(path)
        return tuple(map(str, paths))

    def spare_inputs(self) -> None:
        """Tell of exports that would replace what a story is made from; once all stories were seen."""
        for path, (_, where) in self._exported.items():
            if path in self._inputs:
                self._tell(where, f"{path}: a story is made from this file, and the export would replace it")

    def model(self, given: str, where: Where) -> str:
        """A model's SPEC; a path in it is absolute."""
        if not given:
            return ""
        spec = parse_spec(given)
        if spec.kind not in {"gguf", "scripted"}:
            return given
        path = self._path(spec.target)
        if spec.kind == "gguf" and not path.is_file():
            self._tell(where, f"{path}: there is no such file")
        return f"{spec.kind}:{path}"

    def _path(self, file: str) -> Path:
        named = os.path.expanduser(file)  # noqa: PTH111  (pathlib raises on an unknown ~user)
        # Dots are taken out, links are not followed: the exported file may not be there yet.
        return Path(os.path.normpath(self._folder / named))

    def _read(self, path: Path, name: str, where: Where, longest: int) -> str:
        try:
            with path.open(encoding="utf-8-sig") as file:
                return required(file.read(longest + 1), name, longest)
        except OSError as error:
            self._tell(where, f"{path}: can't be read: {error.strerror or error}")
        except UnicodeDecodeError:
            self._tell(where, f"{path}: isn't UTF-8")
        except InvalidText as error:
            self._tell(where, f"{path}: {error}")
        return ""

    def _tell(self, where: Where, text: str) -> None:
        self.problems.append(Problem(where, text))
