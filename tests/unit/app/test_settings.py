"""Settings: flags over environment over file; what can't be used is told by name."""

from pathlib import Path
from typing import Any

import pytest

from storyloom.app import wiring
from storyloom.app.settings import load_settings
from storyloom.generators.rope import Rope
from storyloom.generators.spec import Spec
from storyloom.memory.errors import InvalidSetting


def test_the_environment_names_the_data_folder_and_all_lives_in_it(home: Path) -> None:
    settings = load_settings()
    assert settings.home == home
    assert settings.url == f"sqlite:///{(home / 'storyloom.db').resolve()}"
    assert {settings.models_dir.parent, settings.templates_dir.parent, settings.trash_dir.parent} == {home}


def test_flags_win_over_environment_and_environment_over_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / "config.toml").write_text('model = "gguf:/file"\nlanguage = "de"\nslots = 2\n', encoding="utf-8")
    monkeypatch.setenv("STORYLOOM_LANGUAGE", "fr")
    settings = load_settings(slots=3, language=None)
    assert (settings.model, settings.language, settings.slots) == ("gguf:/file", "fr", 3)


def test_an_agent_may_have_a_model_of_its_own() -> None:
    settings = load_settings(models={"planner": "gguf:/planner"})
    assert settings.models == {"planner": "gguf:/planner"}


def test_local_models_get_the_rope_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Rope | None] = []

    def watched(_spec: Spec, *, rope: Rope | None, **_options: Any) -> None:
        asked.append(rope)

    monkeypatch.setattr(wiring, "load_model", watched)
    monkeypatch.setattr(wiring, "load_scorer", watched)
    for made in (wiring._loader, wiring._scorer_loader):
        made(load_settings())("starter")
        monkeypatch.setenv("STORYLOOM_ROPE", "yarn:4")
        made(load_settings())("starter")
        monkeypatch.delenv("STORYLOOM_ROPE")
    assert asked == [None, Rope("yarn", 4), None, Rope("yarn", 4)]


def test_the_key_is_not_printed() -> None:
    assert "s3cret" not in repr(load_settings(api_key="s3cret"))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"slots": 0}, "slots"),
        ({"rope": "yarn"}, "'yarn' names no way to a longer context"),
        ({"context_tokens": 3}, "context_tokens"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(flags: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidSetting, match=named):
        load_settings(**flags)


def test_an_unknown_agent_is_named() -> None:
    with pytest.raises(InvalidSetting, match="poet"):
        load_settings(models={"poet": "starter"})


def test_a_broken_file_is_told(home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("model = ", encoding="utf-8")
    with pytest.raises(InvalidSetting, match=r"config\.toml"):
        load_settings()
