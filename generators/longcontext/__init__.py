"""Models that carry a memory through a whole book. Importing this registers them with transformers.

The seam, from below:

- ``rows``: a batch's real tokens, without padding.
- ``cells``: what a layer's memory holds, inside transformers' cache.
- ``chunks``: reads any split of a text into a memory that learns a chunk at a time.
- ``places``: where a memory stands in a layer; ``modeling``: the stack. Both say what a family supplies.
- ``state``: a memory as a value, to be kept with a story.
- ``mamba_mixers``: lets hybrids that transformers has itself use our kernels.
- ``convert``: makes a family's model out of a LLaMA in memory; ``generators.conversion`` out of files.

A new family is a module with a config, a model and a causal language model, and a line in ``families``.
"""

from storyloom.generators.longcontext.families import register

register()
