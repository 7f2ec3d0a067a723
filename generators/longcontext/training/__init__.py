"""Adapts a long-context model to books, in slices of minutes that go on where the last one ended.

- ``plan``: what is trained how; ``books`` and ``hidden_keys``: which tokens come next.
- ``losses``: what is made small; ``teaching``: the same where another model teaches.
- ``weights``: which weights learn, and by which optimizer; ``carry``: the memory between two segments.
- ``loop``: one step after another; ``recompute``: how long segments fit the memory.
- ``checkpoint``: what the next slice needs; ``log``: the loss, drawn; ``saving``: the trained model.
- ``guarding``: one process a folder, and memory that is too small.

``generators.training`` does the whole, from a folder into the same folder.
"""
