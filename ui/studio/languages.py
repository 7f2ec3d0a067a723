"""The studio's languages: which one a page is in, and what is said there.

A message is its English text, as a component or a call of ``gettext`` has it; ``messages/LANGUAGE.po`` (GNU
gettext) has it in another language, and where it hasn't, the English stands. What a person or a model
wrote, and what a room below says of an error, is never translated.
"""

import gettext as gnu
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from babel import negotiate_locale
from babel.dates import format_date, format_time
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

# By their codes, as their speakers call them.
LANGUAGES = {"en": "English", "de": "Deutsch", "zh": "中文"}
ENGLISH = "en"
COOKIE = "storyloom-language"  # what a person chose, kept in the browser
MESSAGES = Path(__file__).with_name("messages")
# What isn't written as its code alone says: English has the day first, and no comma before "and".
_WRITTEN_AS = {ENGLISH: "en_GB"}

_spoken: ContextVar[str] = ContextVar("spoken", default=ENGLISH)


def language() -> str:
    """The code of the language that is spoken just now."""
    return _spoken.get()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Speak a language, one of ``LANGUAGES``, within the block."""
    token = _spoken.set(code)
    try:
        yield
    finally:
        _spoken.reset(token)


def language_of(headers: Mapping[str, str]) -> str:
    """The language of a request: what was chosen on the page, else the browser's first that we have."""
    try:
        chosen = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        chosen = None
    if chosen is not None and chosen.value in LANGUAGES:
        return chosen.value
    wanted = [each.partition(";")[0].strip() for each in headers.get("accept-language", "").split(",")]
    found = negotiate_locale([each for each in wanted if each], list(LANGUAGES), sep="-")
    return found or ENGLISH


def gettext(message: str, **values: object) -> str:
    """A message in the language that is spoken, with values for its ``{names}``, escaped by the caller."""
    said = _catalog(language()).gettext(message)
    return said.format(**values) if values else said


def ngettext(one: str, many: str, number: int, **values: object) -> str:
    """As ``gettext``, for a message about a number of things, which is ``{number}``."""
    said = _catalog(language()).ngettext(one, many, number)
    return said.format(number=count(number), **values)


def gettext_noop(message: str) -> str:
    """A message of a table: ``gettext(TABLE[name])`` says it where it is shown."""
    return message


def count(number: float) -> str:
    """A number with the language's marks between its digits."""
    return format_decimal(number, locale=_locale())


def decimal(number: float, places: int) -> str:
    """A number with so many places behind the language's decimal mark."""
    return format_decimal(number, format=f"#,##0.{'0' * places}", locale=_locale())


def listed(parts: Sequence[str]) -> str:
    """One after another, as a sentence of the language has them: "2, 4 to 9 and 12"."""
    return format_list(parts, locale=_locale())


def day(moment: datetime) -> str:
    """A date as the language writes it."""
    return format_date(moment, format="long", locale=_locale())


def minute(moment: datetime) -> str:
    """A date and a time of day, in UTC, as the language writes them."""
    time = format_time(moment, format="short", locale=_locale())
    return gettext("{day}, {time} UTC", day=day(moment), time=time)


def second(moment: datetime) -> str:
    """As ``minute``, to the second."""
    time = format_time(moment, format="medium", locale=_locale())
    return gettext("{day}, {time} UTC", day=day(moment), time=time)


def _locale() -> str:
    return _WRITTEN_AS.get(language(), language())


@cache
def _catalog(code: str) -> gnu.NullTranslations:
    path = MESSAGES / f"{code}.po"
    if not path.is_file():  # English is the messages themselves
        return gnu.NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return gnu.GNUTranslations(compiled)
