"""The forms a story is exported to and imported from."""

from storyloom.storage.formats.files import EXPORT_SUFFIXES, read_story, write_story

__all__ = ["EXPORT_SUFFIXES", "read_story", "write_story"]
