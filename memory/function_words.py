"""Tells the words that carry meaning from those that only join them.

English has a list; in every other language short words count as joining, which is right for most
of them and wrong in the safe direction for checks that look at meaning only.
"""

from collections.abc import Iterable

_ENGLISH = """
a about above across after again against ago all almost along already also although always am among an and
another any anyone anything are around as at away back be became because become been before behind being
below beneath beside besides between beyond both but by can can't cannot come could couldn't despite did
didn't do does doesn't doing don't done down during each either else enough even eventually ever every
everyone everything except far few finally for from further get gets getting go goes going got had hadn't
has hasn't have haven't having he he'd he'll he's her here hers herself him himself his how however i i'd
i'll i'm i've if in indeed inside instead into is isn't it it'd it'll it's its itself just last later
least less let let's like made make makes making many may maybe me meanwhile might mine more most much
must my myself near neither never next no nobody none nor not nothing now of off oh on once one only onto
or other others our ours out outside over own perhaps quite rather really same several shall she she'd
she'll she's should since so some somehow someone something sometimes somewhere soon still such suddenly
than that that's the their theirs them themselves then there there's these they they'd they'll they're
they've this those though through throughout thus to together too toward towards under underneath unless
unlike until up upon us very was wasn't we we'd we'll we're we've well went were weren't what what's
whatever when whenever where wherever whether which while who who's whoever whom whose why will with
within without won't would wouldn't yes yet you you'd you'll you're you've your yours yourself
"""
_LISTS = {"en": frozenset(_ENGLISH.split())}
_SHORT = 3


def function_words(language: str) -> frozenset[str]:
    """The words of ``language`` (BCP 47 tag) that only join others; empty where there is no list."""
    return _LISTS.get(language[:2].lower(), frozenset())


def content_words(tokens: Iterable[str], language: str) -> list[str]:
    """The tokens (lower case, from ``text.words``) that carry meaning, in order."""
    joining = function_words(language)
    if joining:
        return [token for token in tokens if token not in joining and len(token) > 1]
    return [token for token in tokens if len(token) > _SHORT or not token.isascii() or token.isdigit()]
