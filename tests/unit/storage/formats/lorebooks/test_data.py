import pytest

from storyloom.memory.errors import ImportRefused
from storyloom.storage.formats.lorebooks import data
from storyloom.storage.formats.lorebooks.data import read_json


def test_texts_lose_what_cant_be_stored_and_nothing_else() -> None:
    content = '{"a\\u0000": ["x\\ud800y", "<script>{{ 7*7 }}</script>", "e\\u0301\\r\\n\\t"]}'
    assert read_json(content.encode()) == ({"a": ["xy", "<script>{{ 7*7 }}</script>", "é\n\t"]}, ())


def test_numbers_that_are_none_are_null() -> None:
    content = b"[NaN, Infinity, -Infinity, 1e999, 1" + b"0" * 5000 + b", 9223372036854775807, -1.5]"
    assert read_json(content) == ([None, None, None, None, None, 2**63 - 1, -1.5], ())


def test_a_byte_order_mark_is_no_text() -> None:
    assert read_json(b"\xef\xbb\xbf[1]") == ([1], ())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_other_encodings_are_named(encoding: str) -> None:
    content = '{"a": "é"}'.encode(encoding)
    if encoding == "utf-16-le":
        content = b"\xff\xfe" + content
    with pytest.raises(ImportRefused, match="UTF-8"):
        read_json(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON"),
        (b'{"a": ', "no JSON"),
        (b"[" * 101 + b"]" * 101, "nested too deeply"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
    ],
)
def test_what_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ImportRefused, match=reason):
        read_json(content)


def test_nesting_of_a_hundred_is_taken() -> None:
    assert read_json(b"[" * 100 + b"]" * 100)[1] == ()


def test_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_MOST_VALUES", 10)
    assert read_json(b"[" + b"1," * 9 + b"1]")[1] == ()
    with pytest.raises(ImportRefused, match="more than 10 values"):
        read_json(b"[" + b"1," * 10 + b"1]")


def test_a_name_that_stands_twice_is_told() -> None:
    found, told = read_json(b'{"0": 1, "0": 2, "b": {"x\\u0000": 1, "x\\u0000": 3}}')
    assert found == {"0": 2, "b": {"x": 3}}
    assert told == (
        "A name stands more than once in one object of the file, and the last was taken: “x”, “0”.",
    )
