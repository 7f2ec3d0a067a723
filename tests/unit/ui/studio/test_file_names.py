from pathlib import Path

import pytest

from storyloom.ui.studio.file_names import bare


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("3.11.2 in /usr/lib/venv", "3.11.2 in venv"),
        ("/srv/my lamps/stories.sqlite3 is made", "stories.sqlite3 is made"),
        ("/srv/my lamps, 5.0 GB free", "my lamps, 5.0 GB free"),
        ("gguf:/opt/models/a.gguf", "gguf:a.gguf"),
        ("The file '/opt/a.gguf' (whole)", "The file 'a.gguf' (whole)"),
        ("openai:m@http://127.0.0.1:1/v1", "openai:m@http://127.0.0.1:1/v1"),
        ("install it with: python -m pip install x/y", "install it with: python -m pip install x/y"),
    ],
)
def test_a_path_is_told_by_its_last_name(told: str, shown: str) -> None:
    assert bare(told, [Path("/srv/my lamps")]) == shown
