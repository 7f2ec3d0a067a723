from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects.sqlite import dialect

from storyloom.storage.columns import CompressedText, UtcDateTime


def test_a_moment_of_any_zone_comes_back_in_utc() -> None:
    moment = datetime(2024, 1, 1, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    column = UtcDateTime()
    stored = column.process_bind_param(moment, dialect())
    assert stored == datetime(2023, 12, 31, 23, 0, 0, 5)  # noqa: DTZ001
    back = column.process_result_value(stored, dialect())
    assert back == moment
    assert back is not None
    assert back.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        UtcDateTime().process_bind_param(datetime(2024, 1, 1), dialect())  # noqa: DTZ001


def test_text_is_compressed_and_comes_back() -> None:
    column = CompressedText()
    text = "the same words " * 500 + "鐘\0"
    stored = column.process_bind_param(text, dialect())
    assert stored is not None
    assert len(stored) < len(text) / 20
    assert column.process_result_value(stored, dialect()) == text


def test_nothing_stays_nothing() -> None:
    for column in (UtcDateTime(), CompressedText()):
        assert column.process_bind_param(None, dialect()) is None
        assert column.process_result_value(None, dialect()) is None
