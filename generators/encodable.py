"""Makes any Python string encodable."""


def encodable(text: str) -> str:
    """The text with lone surrogates, which no tokenizer and no server can read, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
