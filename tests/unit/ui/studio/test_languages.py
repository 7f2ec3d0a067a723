"""Which language a page is in, and how it is spoken there."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import gradio as gr
import pytest

from storyloom.ui.studio import languages
from storyloom.ui.studio.languages import (
    COOKIE,
    LANGUAGES,
    count,
    day,
    decimal,
    gettext,
    language,
    language_of,
    listed,
    minute,
    ngettext,
    speaking,
)
from storyloom.ui.studio.spoken import SpokenBlocks, messages_of, said
from storyloom.ui.studio.wiring import heard

NOON = datetime(2026, 3, 4, 12, 5, tzinfo=UTC)
GERMAN = """
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "Paragraph {depth} is saved."
msgstr "Absatz {depth} ist gesichert."

msgid "{number} page of {book}"
msgid_plural "{number} pages of {book}"
msgstr[0] "{number} Seite von {book}"
msgstr[1] "{number} Seiten von {book}"

msgid "Write on"
msgstr "Weiterschreiben"

msgid "A novel"
msgstr "Ein Roman"

msgid "What it will be"
msgstr "Was es wird"

msgid "Never part of the prompt."
msgstr "Nie ein Teil des Prompts."
"""
CHINESE = """
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

msgid "Paragraph {depth} is saved."
msgstr "第 {depth} 段已保存。"

msgid "{number} page of {book}"
msgid_plural "{number} pages of {book}"
msgstr[0] "{book}的 {number} 页"
"""


@pytest.fixture
def _catalogs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Translations that stay as they are here, whatever the studio's say."""
    (tmp_path / "de.po").write_text(GERMAN, encoding="utf-8")
    (tmp_path / "zh.po").write_text(CHINESE, encoding="utf-8")
    monkeypatch.setattr(languages, "MESSAGES", tmp_path)
    languages._catalog.cache_clear()
    yield
    languages._catalog.cache_clear()


class Visitor:
    """A request, as far as the language goes."""

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("cookie", "accepted", "code"),
    [
        ("", "", "en"),
        ("", "de-AT,de;q=0.9,en;q=0.8", "de"),
        ("", "zh-CN,zh;q=0.9", "zh"),
        ("", "fr, zh-TW;q=0.5", "zh"),
        ("", "fr, it;q=0.9, *;q=0.1", "en"),
        ("", ",;q=,--,../../etc/passwd,\0", "en"),
        (f"{COOKIE}=zh", "de", "zh"),
        (f"shade=dark; {COOKIE}=de; other=1", "", "de"),
        (f"{COOKIE}=fr", "de", "de"),
        (f"{COOKIE}=", "zh", "zh"),
        (f"{COOKIE}=../../../etc/passwd", "de", "de"),
        (f'{COOKIE}="<script>alert(1)</script>"', "de", "de"),
        (f"b[a]d=1; {COOKIE}=zh", "de", "de"),  # not a cookie's name: the whole line is left alone
        ("\0;;;=;" * 99, "de", "de"),
    ],
)
def test_a_request_says_its_language(cookie: str, accepted: str, code: str) -> None:
    headers = {name: value for name, value in (("cookie", cookie), ("accept-language", accepted)) if value}
    assert language_of(headers) == code
    assert code in LANGUAGES


@pytest.mark.usefixtures("_catalogs")
@pytest.mark.parametrize(
    ("code", "saved", "one", "many"),
    [
        ("en", "Paragraph 3 is saved.", "1 page of Emma", "1,200 pages of Emma"),
        ("de", "Absatz 3 ist gesichert.", "1 Seite von Emma", "1.200 Seiten von Emma"),
        ("zh", "第 3 段已保存。", "Emma的 1 页", "Emma的 1,200 页"),
    ],
)
def test_a_message_is_said_in_each_language(code: str, saved: str, one: str, many: str) -> None:
    with speaking(code):
        assert gettext("Paragraph {depth} is saved.", depth=3) == saved
        for number, told in ((1, one), (1200, many)):
            assert (
                ngettext("{number} page of {book}", "{number} pages of {book}", number, book="Emma") == told
            )
        assert gettext("Nobody has translated {this}.") == "Nobody has translated {this}."
    assert language() == "en"


@pytest.mark.usefixtures("_catalogs")
def test_a_value_is_never_taken_for_a_message() -> None:
    with speaking("de"):
        assert gettext("Paragraph {depth} is saved.", depth="{depth.__class__}") == (
            "Absatz {depth.__class__} ist gesichert."
        )


@pytest.mark.parametrize(
    ("code", "number", "part", "things", "date", "time"),
    [
        ("en", "1,234,567", "-1,234.50", "2, 4 to 9 and 12", "4 March 2026", "4 March 2026, 12:05 UTC"),
        ("de", "1.234.567", "-1.234,50", "2, 4 to 9 und 12", "4. März 2026", "4. März 2026"),
        ("zh", "1,234,567", "-1,234.50", "2、4 to 9和12", "2026年3月4日", "2026年3月4日"),
    ],
)
def test_numbers_dates_and_lists_are_written_as_the_language_does(
    code: str, number: str, part: str, things: str, date: str, time: str
) -> None:
    with speaking(code):
        assert count(1_234_567) == number
        assert decimal(-1234.5, 2) == part
        assert listed(["2", "4 to 9", "12"]) == things
        assert listed(["2"]) == "2"
        assert listed([]) == ""
        assert day(NOON) == date
        assert minute(NOON).startswith(time)
        assert "12:05" in minute(NOON)


def test_a_stream_is_heard_in_the_language_of_whoever_asks() -> None:
    async def views() -> AsyncIterator[str]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield language()

    async def asked(code: str) -> list[str]:
        stream = heard(views(), cast("Any", Visitor(accept_language=code)))
        told = []
        while True:  # as Gradio does it: every view is asked for by a task of its own
            try:
                told.append(await asyncio.ensure_future(anext(cast("Any", stream))))
            except StopAsyncIteration:
                return told
            assert language() == "en"

    async def both() -> tuple[list[str], list[str]]:
        german, chinese = await asyncio.gather(asked("de"), asked("zh"))
        return german, chinese

    assert asyncio.run(both()) == (["de"] * 3, ["zh"] * 3)


@pytest.mark.usefixtures("_catalogs")
def test_a_page_in_another_language_differs_in_texts_alone() -> None:
    page = asyncio.run(_page())
    english = page.config
    with speaking("de"):
        german = page.config
        assert page.config is german
    assert page.config is english
    assert {**german, "components": []} == {**english, "components": []}
    texts = _texts(german)
    assert texts == {
        "write": {"value": "Weiterschreiben"},
        "words": {"label": "Was es wird", "info": "Nie ein Teil des Prompts.", "value": "Write on"},
        "mode": {
            "label": "Ein Roman",
            "choices": [("Ein Roman", "novel"), ("A game", "game")],
            "value": "novel",
        },
        "heading": {"value": "<h2>Ein Roman</h2>"},
        "told": {"value": "A novel"},
    }
    assert _without_texts(german) == _without_texts(english)


async def _page() -> SpokenBlocks:
    """A page made where a loop runs: Gradio leaves one open where none does."""
    page = SpokenBlocks(title="Storyloom")
    with page:
        gr.Button("Write on", elem_id="write")
        gr.Textbox("Write on", label="What it will be", info="Never part of the prompt.", elem_id="words")
        gr.Radio([("A novel", "novel"), ("A game", "game")], value="novel", label="A novel", elem_id="mode")
        said(lambda: f"<h2>{gettext('A novel')}</h2>", elem_id="heading")
        gr.HTML("A novel", elem_id="told")
    return page


def _texts(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a person reads of each component, by its id on the page."""
    found = {}
    for one in config["components"]:
        props = one["props"]
        if props.get("elem_id"):
            names = dict.fromkeys(
                [*messages_of(one), *(["value"] if isinstance(props.get("value"), str) else [])]
            )
            found[props["elem_id"]] = {name: props[name] for name in names}
    return found


def _without_texts(config: Mapping[str, Any]) -> list[Any]:
    return [
        {**one, "props": {name: value for name, value in one["props"].items() if name not in _PROPS}}
        for one in config["components"]
    ]


_PROPS = ("label", "info", "placeholder", "choices", "value")
