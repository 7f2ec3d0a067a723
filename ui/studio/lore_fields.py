"""Which fields the forms of lore entries and of characters have, and what a person reads of them."""

from storyloom.ui.studio.form import Field, Kind

_POSITIONS = (
    ("Before the characters", "before_characters"),
    ("After the characters", "after_characters"),
    ("Before the examples", "before_examples"),
    ("After the examples", "after_examples"),
    ("Before the author's note", "before_note"),
    ("After the author's note", "after_note"),
    ("At a depth of the story so far", "at_depth"),
    ("Where a template names it (outlet)", "outlet"),
)
_LOGIC = (
    ("Any of them too", "and_any"),
    ("All of them too", "and_all"),
    ("None of them", "not_any"),
    ("Not all of them", "not_all"),
)
_ROLES = (("System", "system"), ("User", "user"), ("Assistant", "assistant"))

ENTRY: tuple[Field, ...] = (
    Field("name", "Name", Kind.LINE, "Never part of the prompt."),
    Field("keys", "Keys", Kind.LIST, "With commas between them; /pattern/flags is a regular expression."),
    Field("content", "What the writer is told", Kind.TEXT),
    Field("secondary_keys", "Secondary keys", Kind.LIST),
    Field("logic", "Beside a key it needs", Kind.CHOICE, options=_LOGIC),
    Field("position", "Where it stands in the prompt", Kind.CHOICE, options=_POSITIONS),
    Field("order", "Order", Kind.NUMBER, "The highest stands last, nearest to the text."),
    Field("enabled", "Enabled", Kind.FLAG),
    Field("constant", "Constant", Kind.FLAG, "It fires at every paragraph, without a key."),
    Field("semantic", "By meaning", Kind.FLAG, "It fires too when the text is like it in meaning."),
    Field("ignore_budget", "Beyond the budget", Kind.FLAG, "It enters even when the lore's room is used up."),
    Field("probability", "Chance of firing, in percent", Kind.NUMBER, rare=True),
    Field("scan_depth", "Paragraphs that are scanned", Kind.NUMBER, "Empty: as the story has it.", rare=True),
    Field("case_sensitive", "Letter case counts", Kind.OPEN, rare=True),
    Field("whole_words", "A key must be a whole word", Kind.OPEN, rare=True),
    Field("depth", "Depth, for a place at a depth", Kind.NUMBER, "So many paragraphs after it.", rare=True),
    Field("role", "Who says it at a depth", Kind.CHOICE, options=_ROLES, rare=True),
    Field("outlet", "Name of the outlet", Kind.LINE, rare=True),
    Field("sticky", "Stays for so many paragraphs", Kind.NUMBER, rare=True),
    Field("cooldown", "Rests for so many paragraphs", Kind.NUMBER, rare=True),
    Field("delay", "Not before so many paragraphs", Kind.NUMBER, rare=True),
    Field("groups", "Groups", Kind.LIST, "Of one group's entries, one fires.", rare=True),
    Field("group_weight", "Share of the draw in a group", Kind.NUMBER, rare=True),
    Field("group_override", "Wins a group by its order", Kind.FLAG, rare=True),
    Field("group_scoring", "Most keys win the group", Kind.OPEN, rare=True),
    Field("exclude_recursion", "Other entries can't fire it", Kind.FLAG, rare=True),
    Field("prevent_recursion", "It can't fire others", Kind.FLAG, rare=True),
    Field("delay_until_recursion", "From which level of recursion on", Kind.NUMBER, rare=True),
    Field("scans", "Scanned beside the text", Kind.LIST, "Such as premise, characters, notes.", rare=True),
    Field("characters", "Characters whose presence it needs", Kind.LIST, rare=True),
    Field("without_characters", "It needs their absence instead", Kind.FLAG, rare=True),
    Field("triggers", "Kinds of generation", Kind.LIST, "SillyTavern's names; empty: all.", rare=True),
)

CHARACTER: tuple[Field, ...] = (
    Field("name", "Name", Kind.LINE, "As the story uses it."),
    Field("nickname", "Nickname", Kind.LINE, "What the character is called instead."),
    Field("description", "Description", Kind.TEXT, "Looks, history, whatever a writer must know."),
    Field("personality", "Personality", Kind.TEXT),
    Field("scenario", "Scenario", Kind.TEXT),
    Field("examples", "How the character talks", Kind.TEXT),
    Field("enabled", "Enabled", Kind.FLAG, "It enters prompts."),
    Field("system_prompt", "Instruction to the writer", Kind.TEXT, rare=True),
    Field("last_instruction", "Instruction right before the text", Kind.TEXT, rare=True),
    Field("greeting", "A first paragraph", Kind.TEXT, rare=True),
    Field("greetings", "Other first paragraphs", Kind.LIST, rare=True),
    Field("notes", "The author's notes", Kind.TEXT, "Never part of the prompt.", rare=True),
    Field("tags", "Tags", Kind.LIST, rare=True),
    Field("author", "Author", Kind.LINE, rare=True),
    Field("card_version", "Version of the card", Kind.LINE, rare=True),
)
