"""Adapts a long-context model to books, in slices of minutes that go on where the last one ended.

- ``plan``: what is trained how; ``books``: which tokens come next; ``losses``: what is made small.
- ``weights``: which weights learn, and by which optimizer; ``carry``: the memory between two segments.
- ``loop``: one step after another; ``checkpoint``: what the next slice needs; ``log``: the loss, drawn.
- ``run``: the whole, from a folder into the same folder.
"""
