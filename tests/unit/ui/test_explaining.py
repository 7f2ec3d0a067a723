"""What ``memory --why`` says on a terminal."""

import pytest

from storyloom.app.influence import Explanation
from storyloom.memory.generation import Likelihood
from storyloom.ui import explaining


def test_a_prompt_without_memories_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = Explanation(
        depth=1, model="starter", likelihood=Likelihood(-12.0, 4), is_edited=False, effects=()
    )
    explaining._tell(found)
    told = capsys.readouterr()
    assert told.out == "Step 1: log-probability -12.0 over 4 tokens, -3.00 each, by starter.\n"
    assert told.err == "Nothing remembered stood in its prompt.\n"
