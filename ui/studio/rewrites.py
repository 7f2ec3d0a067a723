"""Rewritings beside the page: a thread each among the server's writers. They write on no strand."""

from storyloom.app.rewriting import Marked
from storyloom.app.studio import Studio
from storyloom.ui.studio.writers import Writers
from storyloom.ui.studio.writing import Writing


class Rewrite(Writing):
    """One request for other words; its strand can be written on meanwhile.

    Attributes:
        marked: the words, and what shall change.
        attempt: how often the same was asked before.
        words: the proposal, once it has ended well.
    """

    def __init__(self, marked: Marked, attempt: int) -> None:
        super().__init__()
        self.marked = marked
        self.attempt = attempt
        self.words = ""


def begin(writers: Writers, studio: Studio, marked: Marked, attempt: int) -> Rewrite:
    """Ask for other words."""

    def propose(rewrite: Rewrite) -> None:
        rewrite.words = studio.rewriting.propose(marked, rewrite, attempt=attempt).text

    return writers.start(Rewrite(marked, attempt), propose)
