"""Shows one text field of a JSON object while the object is still being written.

Knows no shape and no model. Its work grows with the field's length, not with its square: a sound
object is read again by a native parser at each piece and only until the field is over, a broken one by
json-repair each time that it has grown by a share.
"""

from collections.abc import Callable
from typing import Any

import json_repair
from pydantic_core import from_json

_STALLED = 80  # characters without progress after which the object is taken for broken
_GROWTH = 1.15
_LONGEST_ESCAPE = 12  # a pair of surrogates
_MOST_CHARACTERS = 40_000


class FieldStream:
    """Takes an answer's pieces and passes on the text of one field, which should come first.

    What was passed on is never taken back: when mending a broken object gives another text than
    was shown, showing ends there.

    Args:
        field: the field's name.
        on_text: gets the field's text, piece by piece.
    """

    def __init__(self, field: str, on_text: Callable[[str], None]) -> None:
        self._field = field
        self._on_text = on_text
        self._buffer = ""
        self._start = 0
        self._moved = 0  # length of the buffer when the field last grew
        self._mend_at = 0  # length of the buffer at which mending is tried next
        self._done = False
        self.text = ""

    def feed(self, piece: str) -> None:
        """Take the next piece of the answer."""
        if self._done:
            return
        self._buffer += piece
        if len(self._buffer) > _MOST_CHARACTERS:
            self._done = True
        elif "{" not in self._buffer:
            self._moved = len(self._buffer)
        elif not self._show(self._parsed()) and len(self._buffer) - self._moved > _STALLED:
            self._mend()

    def _parsed(self) -> Any:
        """The object as far as it is sound, from the first bracket where one can begin; else None."""
        while (start := self._buffer.find("{", self._start)) >= 0:
            self._start = start
            try:
                return from_json(self._buffer[start:], allow_partial="trailing-strings")
            except ValueError:
                self._start += 1  # no object begins here, whatever follows
        return None

    def _mend(self) -> None:
        if len(self._buffer) < self._mend_at:
            return
        self._mend_at = int(len(self._buffer) * _GROWTH)
        # An escape that isn't whole yet would be mended into something else.
        escape = self._buffer.find("\\", len(self._buffer) - _LONGEST_ESCAPE)
        sound = self._buffer if escape < 0 else self._buffer[:escape]
        try:
            self._show(json_repair.loads(sound, skip_json_loads=True, stream_stable=True))
        except (ValueError, RecursionError):
            self._done = True

    def _show(self, value: Any) -> bool:
        """Pass on what is new in the field; True when something was."""
        if isinstance(value, list):
            value = next((item for item in value if isinstance(item, dict) and self._field in item), None)
        text = value.get(self._field) if isinstance(value, dict) else None
        if not isinstance(text, str):
            return False
        text = paired(text)
        if not text.startswith(self.text):
            self._done = not self.text.startswith(text)
            return False
        self._done = list(value).index(self._field) < len(value) - 1
        new = text[len(self.text) :]
        if not new:
            return False
        self.text, self._moved = text, len(self._buffer)
        self._on_text(new)
        return True


def paired(text: str) -> str:
    """Text whose halves of characters are joined, as json-repair leaves them; lonely ones are left out."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
