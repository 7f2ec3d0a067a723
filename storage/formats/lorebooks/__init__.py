"""Lore and characters in the forms of other programs: SillyTavern, character cards, NovelAI, KoboldAI."""

from storyloom.storage.formats.lorebooks.files import FORMATS, read_lorebook, write_lorebook

__all__ = ["FORMATS", "read_lorebook", "write_lorebook"]
