"""The forms a story is exported to and imported from."""

from storyloom.storage.formats.files import EXPORT_SUFFIXES, read_story, write_story
from storyloom.storage.formats.manuscript import MANUSCRIPT_SUFFIXES, Block, Manuscript, read_manuscript

__all__ = [
    "EXPORT_SUFFIXES",
    "MANUSCRIPT_SUFFIXES",
    "Block",
    "Manuscript",
    "read_manuscript",
    "read_story",
    "write_story",
]
