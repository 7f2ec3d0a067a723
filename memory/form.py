"""What breaks a paragraph of prose: form, script and person. Knows no model and no story.

Rules that need a language's words apply to that language alone; the others to every script.
"""

import re
import unicodedata
from collections.abc import Iterable

from storyloom.memory.text import words

# A line that is no prose: a heading, a list's item, a label ("Title:", "Mara and Tom:").
_NO_PROSE_LINE = re.compile(
    r"\s*(?:[-*+•#>=|~—–]|\(?\d{1,3}[.)]\s|[^\W\d]+(?: [^\W\d]+){0,3}\s?[:：]\s*(?:\n|$))"
)
_LABEL = re.compile(r"[^\W\d]+(?: [^\W\d]+){0,2}\s?[:：](?=\s|$)")
_NO_PROSE_MARK = re.compile(r"[\[\]{}<>|\\`*#_=~^@【】]|https?:|\.{5,}|\(\s*\)")
# Talk about the text, not of the tale: what a model says when it takes itself for an assistant.
_META = {
    "en": re.compile(
        r"\b(?:here(?: is|'s|’s| are)\b[^.!?]*:|(?:chapter|paragraph|excerpt)s?\b|"
        r"(?:first|opening|next|last|final|following|previous) (?:sentence|line|part|scene|passage)\b|"
        r"this (?:sentence|passage|scene|story|tale|narrative)\b|"
        r"(?:the|their|entire|whole) (?:story|tale|narrative) "
        r"(?:is|was|has|had|so|ends|ended|begins|began|opens|unfolds|continues|takes|follows|reaches)\b|"
        r"the (?:ending|conclusion|moral|climax)\b|"
        r"(?:main|central) characters?\b|protagonists?\b|narrators?\b|(?:the|our) readers?\b|plot twist|"
        r"sets? the (?:stage|scene)\b|as an ai\b|to be continued\b)|^the end\b",
        re.IGNORECASE,
    )
}
_END_MARKS = ".!?…。！？؟۔।॥"
_SENTENCE_END = re.compile(rf"[{_END_MARKS}](?:[\"'”’»)」』]*)$")
_QUOTED = re.compile(r"“[^”]*(?:”|$)|\"[^\"]*(?:\"|$)|«[^»]*(?:»|$)|„[^“”]*(?:[“”]|$)|「[^」]*(?:」|$)")
_FIRST_PERSON = {
    "en": frozenset(["i", "i'm", "i'd", "i've", "i'll", "me", "my", "mine", "myself", "we", "our", "us"])
}
_SECOND_PERSON = {"en": frozenset(["you", "you'd", "you're", "you've", "you'll", "your", "yours"])}
# One text of Japanese or Chinese mixes these; the others are signs that any script may hold.
_EAST_ASIAN = frozenset(
    {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH"}
)
_NO_SCRIPT = frozenset({"MODIFIER", "MICRO", "FEMININE", "MASCULINE", "?"})
_PERSON_SHARE = 0.01


def cut_at_break(text: str, language: str = "en") -> str:
    """The prose before the first line or sentence mark that isn't prose."""
    kept: list[str] = []
    for line in text.split("\n"):
        if kept and (_NO_PROSE_LINE.match(line) or _LABEL.match(line)):
            break
        broken = _first_break(line, language)
        kept.append(line[:broken])
        if broken < len(line):
            break
    return "\n".join(kept).strip()


def is_finished(sentence: str) -> bool:
    """Whether a sentence ends as sentences do, closing quotes allowed."""
    return _SENTENCE_END.search(sentence.rstrip()) is not None


def open_end(sentence: str) -> str:
    """A sentence without its last mark, so that it can be gone on with."""
    return sentence.rstrip().rstrip(_END_MARKS)


def has_open_quote(sentence: str) -> bool:
    """Whether a quotation was opened and not closed."""
    return sentence.count('"') % 2 == 1 or sentence.count("“") > sentence.count("”")


def scripts(text: str) -> frozenset[str]:
    """The scripts that the text's letters belong to, such as ``LATIN`` or ``HIRAGANA``."""
    return frozenset(_script(char) for char in set(text) if char.isalpha()) - _NO_SCRIPT


def is_first_person(text: str, language: str = "en") -> bool:
    """Whether the narration, outside quotations, speaks of itself; False where unknown."""
    return _share_told(text, _FIRST_PERSON.get(language[:2])) > _PERSON_SHARE


def is_second_person(text: str, language: str = "en") -> bool:
    """Whether the narration, outside quotations, speaks to the reader; False where unknown."""
    return _share_told(text, _SECOND_PERSON.get(language[:2])) > _PERSON_SHARE


def _share_told(text: str, pronouns: frozenset[str] | None) -> float:
    """Share of the words outside quotations that are among the pronouns."""
    told = words(_QUOTED.sub(" ", text)) if pronouns else []
    return sum(word in pronouns for word in told) / len(told) if pronouns and told else 0.0


def _first_break(line: str, language: str) -> int:
    """Where the line's first break of form stands; its length when there is none."""
    patterns: Iterable[re.Pattern[str] | None] = (_NO_PROSE_MARK, _META.get(language[:2]))
    found = (pattern.search(line) for pattern in patterns if pattern is not None)
    return min((match.start() for match in found if match), default=len(line))


def _script(char: str) -> str:
    name = unicodedata.name(char, "?").split(" ")[0]
    return "CJK" if name in _EAST_ASIAN else name
