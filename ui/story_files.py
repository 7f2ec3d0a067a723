"""A story as the content of a file, for whoever takes it over the network."""

import tempfile
from pathlib import Path

from storyloom.app.studio import Studio

# The forms that the server gives, and what each is called there.
MEDIA = {"md": "text/markdown", "txt": "text/plain", "json": "application/json"}


def story_file(studio: Studio, story: str, suffix: str, strand: str | None) -> bytes:
    """What ``storyloom export`` writes to a file with that suffix.

    Raises:
        InvalidSetting: the suffix names no form that is known.
        StoryNotFound, StrandNotFound: there is no such story or strand.
    """
    with tempfile.TemporaryDirectory() as folder:
        return studio.export(story, Path(folder) / f"story.{suffix}", strand).read_bytes()
