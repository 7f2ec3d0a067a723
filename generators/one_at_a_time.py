"""One lock for everything that loads through transformers.

The library fills its names when they are first asked for, and two threads that ask at once see it
half made: an engine and the embedder, loaded side by side, failed with "cannot import name" now and
then. llama.cpp doesn't use it, and still loads beside the embedder.
"""

import threading

TRANSFORMERS = threading.RLock()
