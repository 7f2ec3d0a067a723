"""What a handler may say of a component beside giving its plain value. Knows no Gradio."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Visible:
    """Whether it is on the page."""

    shown: bool


@dataclass(frozen=True, slots=True)
class Enabled:
    """Whether it can be used."""

    usable: bool


@dataclass(frozen=True, slots=True)
class Ticking:
    """Whether a timer runs."""

    active: bool


@dataclass(frozen=True, slots=True)
class Unfolded:
    """Whether what it holds is seen."""

    open: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be chosen, as (what a person reads, its value), and what is."""

    options: Sequence[tuple[str, Any]]
    chosen: Any = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """Its value under another label, and whether it is on the page."""

    value: Any
    label: str
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Asking:
    """What an empty box asks for; its text stays."""

    question: str
