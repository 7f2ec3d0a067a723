"""Who plays which part: the agents for a model's SPEC, each engine made once a process."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from storyloom.app.agents.editor import Editor
from storyloom.app.agents.memory_keeper import MemoryKeeper
from storyloom.app.agents.one_call import OneCall
from storyloom.app.agents.planner import Planner
from storyloom.app.agents.rewriter import Rewriter
from storyloom.app.agents.writer import Writer
from storyloom.app.profiles import Profile, profile_for
from storyloom.app.recurrence import Cast
from storyloom.app.templates import Templates
from storyloom.memory.errors import StoryloomError, UnsupportedRequest
from storyloom.memory.ports import Embedder, Scorer, TextModel


class Castings:
    """Makes casts and keeps their engines.

    Args:
        load: makes the text model of a SPEC.
        load_scorer: makes the scorer of a SPEC; None where nothing can be scored.
        embedder: shared by the agents that compare texts.
        templates: the agents' prompts.
        writer: SPEC of the model that writes when a story names none.
        others: SPECs of single agents, by name; the rest are played by the writer's model.
        profile: name of the profile to use, or None for the one that fits the model.

    Attributes:
        templates: the agents' prompts.
    """

    def __init__(
        self,
        *,
        load: Callable[[str], TextModel],
        load_scorer: Callable[[str], Scorer] | None = None,
        embedder: Embedder,
        templates: Templates,
        writer: str,
        others: dict[str, str],
        profile: str | None,
    ) -> None:
        self._load = load
        self._load_scorer = load_scorer
        self._embedder = embedder
        self.templates = templates
        self._writer = writer
        self._others = others
        self._profile = profile
        self._models: dict[str, TextModel] = {}
        self._lock = threading.Lock()

    def cast(self, spec: str | None = None, sampling: Mapping[str, Any] | None = None) -> Cast:
        """The agents that write with a model.

        Args:
            spec: names the model; the setting's by default.
            sampling: how the writer draws, by ``Sampling``'s field names, where its profile draws otherwise.

        Raises:
            InvalidSetting: the SPEC is malformed or the profile unknown.
            ModelUnavailable: the model can't be loaded.
        """
        spec = self._writers(spec)
        writer = self.model(spec)
        profile = profile_for(writer, self._profile)
        profile = replace(profile, writing=replace(profile.writing, **(sampling or {})))
        planner, keeper, editor = (
            self.model(self._others.get(agent, spec)) for agent in ("planner", "memory_keeper", "editor")
        )
        return Cast(
            planner=Planner(planner, profile_for(planner, self._profile), self.templates),
            writer=Writer(writer, profile, self.templates),
            memory_keeper=MemoryKeeper(keeper, profile_for(keeper, self._profile), self.templates),
            editor=Editor(editor, profile_for(editor, self._profile), self.templates),
            one_call=OneCall(writer, profile, self.templates) if profile.one_call else None,
            profile=profile,
            text_model=writer,
            model=spec,
        )

    def keeper(self, spec: str | None = None) -> MemoryKeeper:
        """The memory keeper alone; no other agent's model is loaded.

        Raises:
            InvalidSetting, ModelUnavailable: as ``cast``.
        """
        model = self.model(self._others.get("memory_keeper", self._writers(spec)))
        return MemoryKeeper(model, profile_for(model, self._profile), self.templates)

    def rewriter(self, spec: str | None = None) -> Rewriter:
        """The rewriter alone; no other agent's model is loaded.

        Raises:
            InvalidSetting, ModelUnavailable: as ``cast``.
        """
        model = self.model(self._others.get("rewriter", self._writers(spec)))
        return Rewriter(model, profile_for(model, self._profile), self.templates)

    def writer(self, spec: str | None = None) -> TextModel:
        """The model that writes, where ``spec`` or the setting names it; no agent's other model is loaded.

        Raises:
            InvalidSetting, ModelUnavailable: as ``cast``.
        """
        return self.model(self._writers(spec))

    def profile(self, spec: str | None = None) -> Profile:
        """How the writer's model is used, where ``spec`` or the setting names it.

        Raises:
            InvalidSetting, ModelUnavailable: as ``cast``.
        """
        return profile_for(self.writer(spec), self._profile)

    def _writers(self, spec: str | None) -> str:
        return self._others.get("writer") or spec or self._writer

    def model(self, spec: str) -> TextModel:
        """The text model of a SPEC, made at the first call."""
        with self._lock:
            if spec not in self._models:
                self._models[spec] = self._load(spec)
            return self._models[spec]

    def scorer(self, spec: str) -> Scorer:
        """What scores given text with a model; it holds no weights while it isn't used.

        Raises:
            InvalidSetting: the SPEC is malformed.
            UnsupportedRequest: the model can't score.
            ModelUnavailable: its weights aren't here.
        """
        if self._load_scorer is None:
            raise UnsupportedRequest(f"{spec} can't score text here: no scorer is set up.")
        return self._load_scorer(spec)

    def warm_up(self) -> threading.Thread:
        """Load the embedder beside the engine; its errors come back when it is used."""

        def load() -> None:
            with suppress(StoryloomError):
                self._embedder.embed([""])

        thread = threading.Thread(target=load, name="embedder", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Free every engine."""
        with self._lock:
            for model in self._models.values():
                model.close()
            self._models.clear()
