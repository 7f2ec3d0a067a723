"""Settings: flags over environment over ``config.toml`` in the data folder, read once a process."""

import os
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from storyloom.generators.rope import parse_rope
from storyloom.memory.errors import InvalidSetting

AGENTS = ("planner", "writer", "memory_keeper", "editor", "rewriter")


def data_folder() -> Path:
    """Where everything is kept that isn't told another place: ``STORYLOOM_HOME``, or the system's custom."""
    return Path(os.environ.get("STORYLOOM_HOME") or platformdirs.user_data_dir("storyloom"))


class Settings(BaseSettings):
    """Everything that can be set, as ``STORYLOOM_NAME`` or as ``name`` in ``config.toml``.

    Attributes:
        home: the data folder.
        database_url: any SQLAlchemy URL; by default SQLite in the data folder.
        model: SPEC of the model that writes.
        models: SPECs of single agents (planner, writer, memory_keeper, editor, rewriter), by name.
        profile: name of the profile to use instead of the one that fits the model's size.
        language: language of new stories, as a BCP 47 tag.
        context_tokens: tokens that a local model's prompt and text may hold together.
        rope: ``NAME:FACTOR``, such as ``yarn:4``: how local models read longer texts than they were trained
            with; ``context_tokens`` may then be as much larger.
        slots: prompts that the local engine keeps ready side by side.
        threads: threads of the local engine; by default one a physical core.
        api_key: key for an ``openai:`` server.
        reproducible: equal seeds give equal text, at the price of speed.
        owner: whose stories these are.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="STORYLOOM_", env_ignore_empty=True, extra="forbid"
    )

    home: Path = Field(default_factory=data_folder)
    database_url: str = ""
    model: str = "starter"
    models: dict[str, str] = Field(default_factory=dict)
    profile: str | None = None
    language: str = "en"
    context_tokens: int | None = Field(default=None, ge=512)
    rope: str | None = None
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
        file = TomlConfigSettingsSource(settings_cls, data_folder() / "config.toml")
        return init_settings, env_settings, file

    @property
    def models_dir(self) -> Path:
        """Where weights live."""
        return self.home / "models"

    @property
    def templates_dir(self) -> Path:
        """Where a person's own prompt templates live."""
        return self.home / "templates"

    @property
    def presets_dir(self) -> Path:
        """Where people's own presets of sampling live."""
        return self.home / "presets"

    @property
    def trash_dir(self) -> Path:
        """Where deleted stories are kept as files."""
        return self.home / "trash"

    @property
    def place(self) -> str:
        """Where stories are kept, for a person: a file, or a URL without its password."""
        if self.url.startswith("sqlite:///"):
            return self.url.removeprefix("sqlite:///")
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

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
    except ValueError as error:  # a broken TOML file, or a variable that isn't the JSON it must be
        raise InvalidSetting(
            f"The settings can't be read: {error}. Look at config.toml in the data folder {data_folder()} "
            "and at the STORYLOOM_ variables of the environment."
        ) from error
    if settings.rope is not None:
        parse_rope(settings.rope)
    unknown = sorted(set(settings.models) - set(AGENTS))
    if unknown:
        raise InvalidSetting(
            f"The setting models names {', '.join(unknown)}; the agents are {', '.join(AGENTS)}."
        )
    return settings
