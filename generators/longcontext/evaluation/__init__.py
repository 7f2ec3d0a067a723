"""What a long-context model is worth: measured, beside what it would say without its memory.

- ``reading``: a text into a model piece by piece, and how surprised the model is by each token.
- ``statistics``: means with confidence intervals.
- ``perplexity``: the loss by position, with the memory on, zeroed and shuffled between books.
- ``needles``: keys hidden in a long text; ``nouns``: a list of words that comes again, verbatim.
- ``cost``: time of a token and bytes of the cache against the length; ``synthetic``: a cache that is as
  long as if a text had been read.

Each suite is a function that takes a model and returns a frozen dataclass with ``as_json``. A model is one
of the families', or a plain LLaMA, in evaluation mode.
"""
