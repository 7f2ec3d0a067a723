"""Prompt templates: Jinja2 in a sandbox, the user's own files before ours.

Story, lore and memory text are values of a template, never its source.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, PackageLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.loaders import ChoiceLoader
from jinja2.meta import find_undeclared_variables
from jinja2.nodes import Extends, FromImport, Import, Include
from jinja2.sandbox import ImmutableSandboxedEnvironment

from storyloom.memory.errors import InvalidSetting
from storyloom.memory.generation import Message, Role

# A template holds the turns of a chat as blocks of these names, in this order; examples are
# further templates' business.
_TURN_NAMES: tuple[Role, ...] = ("system", "user", "assistant")
_MARK = "\x1e"
_SOURCE = "<template>"  # what Jinja2 calls the file of a source that came as a text
_MOST_COMPILED = 32  # templates kept ready; a step renders each of a dozen many times over
# What a template can do wrong when it is read or run: its syntax, its encoding, its arithmetic, a
# value that isn't there, a loop beyond the sandbox's bound.
_BREAKS = (
    TemplateError,
    OSError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)


class BrokenTemplate(InvalidSetting):
    """A template that can't be used.

    Attributes:
        why: the reason, without a full stop.
        line: the line of its source where it breaks; None where no line is to blame.
    """

    def __init__(self, told: str, why: str, line: int | None) -> None:
        super().__init__(told)
        self.why = why
        self.line = line


class Templates:
    """Renders a template's chat turns.

    A template writes a turn with ``{% call turn("user") %}…{% endcall %}``, as many as it likes.

    Args:
        overrides: folder whose files replace ours of the same name; it need not exist.

    Attributes:
        overrides: that folder.
    """

    def __init__(self, overrides: Path) -> None:
        self.overrides = overrides
        self._environment = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader([FileSystemLoader(overrides), PackageLoader("storyloom.app", "prompts")]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # prompts are plain text
            cache_size=0,  # a file of ours that another takes in would hide a person's own that came later
        )
        self._environment.globals["turn"] = _turn
        self._compiled = lru_cache(maxsize=_MOST_COMPILED)(self._environment.from_string)

    def messages(self, name: str, **values: Any) -> tuple[Message, ...]:
        """The chat turns of template ``name``; white space around a turn is taken off.

        Raises:
            InvalidSetting: a user's own template is broken.
        """
        return self.rendered(name, self.source(name), values)

    def text(self, name: str, **values: Any) -> str:
        """A template without turns, for plain completion.

        Raises:
            InvalidSetting: a user's own template is broken.
        """
        return self.plain(name, self.source(name), values)

    def plain(self, name: str, source: str, values: Mapping[str, Any]) -> str:
        """The text of a template's source without turns; ``name`` is for errors.

        Raises:
            BrokenTemplate: the source is broken.
        """
        return self._render(name, source, values).strip()

    def names(self) -> tuple[str, ...]:
        """Every template there is, by name."""
        found = (path.name for path in files("storyloom.app.prompts").iterdir())
        return tuple(sorted(name.removesuffix(".j2") for name in found if name.endswith(".j2")))

    def ours(self, name: str) -> str:
        """The source of the template that comes with Storyloom."""
        return files("storyloom.app.prompts").joinpath(f"{name}.j2").read_text(encoding="utf-8")

    def source(self, name: str) -> str:
        """The source of template ``name``, a user's own file before ours.

        Raises:
            InvalidSetting: there is none, or it can't be read.
        """
        try:
            assert self._environment.loader is not None
            return self._environment.loader.get_source(self._environment, f"{name}.j2")[0]
        except _BREAKS as error:
            raise self._broken(name, str(error) or type(error).__name__, _line(error)) from error

    def reads(self, name: str, source: str) -> frozenset[str] | None:
        """The variables that a template's source asks for; None when it takes in others that may ask too.

        Raises:
            InvalidSetting: the source is broken.
        """
        try:
            tree = self._environment.parse(source)
        except _BREAKS as error:
            raise self._broken(name, str(error) or type(error).__name__, _line(error)) from error
        if any(True for _ in tree.find_all((Include, Extends, Import, FromImport))):
            return None
        return frozenset(find_undeclared_variables(tree))

    def rendered(self, name: str, source: str, values: Mapping[str, Any]) -> tuple[Message, ...]:
        """The chat turns of a template's source, such as one that was kept; ``name`` is for errors.

        Raises:
            InvalidSetting: the source is broken.
        """
        turns = self._render(name, source, values).split(_MARK)[1:]
        if not turns:
            raise self._broken(name, 'it writes no turn: {% call turn("user") %}…{% endcall %}')
        return tuple(Message(_role(turn), turn.partition("\n")[2].strip()) for turn in turns)

    def _render(self, name: str, source: str, values: Mapping[str, Any]) -> str:
        values = {key: _without_mark(value) for key, value in values.items()}
        try:
            return self._compiled(source).render(**values)
        except _BREAKS as error:
            raise self._broken(name, str(error) or type(error).__name__, _line(error)) from error

    def _broken(self, name: str, why: str, line: int | None = None) -> BrokenTemplate:
        why = why.rstrip(".")
        place = "" if line is None else f"line {line}: "
        told = (
            f"The prompt template {name}.j2 can't be used: {place}{why}. "
            f"Mend or remove your own copy in {self.overrides}."
        )
        return BrokenTemplate(told, why, line)


def _line(error: BaseException) -> int | None:
    """The line of a template's source that an error comes from."""
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _SOURCE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _turn(role: str, caller: Any) -> str:
    if role not in _TURN_NAMES:
        raise TemplateError(f'turn("{role}") is none of {", ".join(_TURN_NAMES)}')
    return f"{_MARK}{role}\n{caller()}"


def _role(turn: str) -> Role:
    return next(role for role in _TURN_NAMES if turn.startswith(role))


def _without_mark(value: Any) -> Any:
    """A story's text can't open a turn of its own, nor can one in a list."""
    if isinstance(value, str):
        return value.replace(_MARK, "")
    if isinstance(value, Mapping):
        return {key: _without_mark(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_without_mark(inner) for inner in value]
    return value
