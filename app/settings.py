"""Settings: flags over environment over ``config.toml`` in the data folder, read once a process."""

import os
from pathlib import Path
from typing import Any, ClassVar

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from storyloom.memory.errors import InvalidSetting

AGENTS = ("planner", "writer", "memory_keeper", "editor")


class Settings(BaseSettings):
    """Everything that can be set, as ``STORYLOOM_NAME`` or as ``name`` in ``config.toml``.

    Attributes:
        home: the data folder.
        database_url: any SQLAlchemy URL; by default SQLite in the data folder.
        model: SPEC of the model that writes.
        models: SPECs of single agents (planner, writer, memory_keeper, editor), by name.
        profile: name of the profile to use instead of the one that fits the model's size.
        language: language of new stories, as a BCP 47 tag.
        context_tokens: tokens that a local model's prompt and text may hold together.
        slots: prompts that the local engine keeps ready side by side.
        threads: threads of the local engine; by default one a physical core.
        api_key: key for an ``openai:`` server.
        reproducible: equal seeds give equal text, at the price of speed.
        owner: whose stories these are.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix="STORYLOOM_", extra="forbid")

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("storyloom")))
    database_url: str = ""
    model: str = "starter"
    models: dict[str, str] = Field(default_factory=dict)
    profile: str | None = None
    language: str = "en"
    context_tokens: int | None = Field(default=None, ge=512)
    slots: int = Field(default=4, ge=1, le=64)
    threads: int | None = Field(default=None, ge=1)
    api_key: SecretStr | None = None
    reproducible: bool = False
    owner: str = "local"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (pydantic-settings' signature)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags win over the environment, the environment over the file."""
        home = os.environ.get("STORYLOOM_HOME") or platformdirs.user_data_dir("storyloom")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(home) / "config.toml")

    @property
    def models_dir(self) -> Path:
        """Where weights live."""
        return self.home / "models"

    @property
    def templates_dir(self) -> Path:
        """Where a person's own prompt templates live."""
        return self.home / "templates"

    @property
    def trash_dir(self) -> Path:
        """Where deleted stories are kept as files."""
        return self.home / "trash"

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{(self.home / 'storyloom.db').resolve()}"


def load_settings(**flags: Any) -> Settings:
    """Settings with the flags that were given; a flag of None was not given.

    Raises:
        InvalidSetting: a value can't be used; the text names it and its place.
    """
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidSetting(
            f"The setting {name} can't be used: {first['msg']}. Set it as STORYLOOM_{name.upper()} "
            "or in config.toml in the data folder."
        ) from error
    except ValueError as error:  # a broken TOML file
        raise InvalidSetting(f"config.toml in the data folder can't be read: {error}.") from error
    unknown = sorted(set(settings.models) - set(AGENTS))
    if unknown:
        raise InvalidSetting(
            f"The setting models names {', '.join(unknown)}; the agents are {', '.join(AGENTS)}."
        )
    return settings
