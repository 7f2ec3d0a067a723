"""Writes several texts at once with one model: each takes a row, and may come and go between two tokens."""

import queue
import threading
from collections import deque
from typing import Any

import torch
from transformers import DynamicCache

from storyloom.generators.hf_loading import Loaded
from storyloom.generators.hf_rows import Rows
from storyloom.generators.hf_writing import Task, Writing
from storyloom.generators.prefix_cache import CachedText, PrefixCache
from storyloom.generators.pump import Emit
from storyloom.memory.generation import Piece

# Between two looks at whether somebody still reads a text that waits for its turn.
_LOOK_SECONDS = 0.1


class Together:
    """Takes requests from any thread and writes them in one thread of its own, which ends when they do.

    Args:
        loaded: a model of which ``cell_bytes`` tells the size.
        prefixes: what was read before, or None where nothing may be reused.
        threads: CPU threads of torch, or None to leave them as they are.
        rows: how many texts are written at once.
        cells: how many tokens all rows may hold together; one row may always be as long as it needs.
    """

    def __init__(
        self, loaded: Loaded, prefixes: PrefixCache | None, threads: int | None, *, rows: int, cells: int
    ):
        self._loaded = loaded
        self._model: Any = loaded.model
        self._prefixes = prefixes
        self._threads = threads
        self._most_rows = rows
        self._cells = cells
        self._rows = Rows()
        self._texts: list[_Text] = []
        self._waiting: deque[_Text] = deque()
        self._lock = threading.Condition()
        self._working = False

    def write(self, task: Task, emit: Emit) -> None:
        """Wait for a row, then write to the end; returns early when nobody reads any more.

        Raises:
            torch.OutOfMemoryError: the model ran out of memory; every text in flight ends so.
            ModelFailed: the model left the schema.
        """
        text = _Text(self._loaded, task)
        with self._lock:
            self._waiting.append(text)
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name="storyloom-rows", daemon=True).start()
        text.relay.deliver(emit)

    def wait(self) -> None:
        """Return once no text is in flight."""
        with self._lock:
            self._lock.wait_for(lambda: not self._working)

    def _work(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)  # counts for each thread that computes
        with torch.inference_mode():
            while (coming := self._coming()) is not None:
                try:
                    for text in coming:
                        self._begin(text)
                    if self._texts:
                        self._choose(self._rows.read(self._model, [text.ids[-1] for text in self._texts]))
                except Exception as error:  # noqa: BLE001  # it is raised again where the texts are read
                    self._fail([*self._texts, *coming], error)

    def _coming(self) -> "list[_Text] | None":
        """The texts that get a row now, in the order in which they came; None when there is nothing to do."""
        with self._lock:
            for text in [text for text in self._waiting if text.relay.stopped]:
                self._waiting.remove(text)
                text.relay.end()
            coming: list[_Text] = []
            columns = self._rows.columns
            while self._waiting:
                rows = len(self._texts) + len(coming) + 1
                columns = max(columns, self._waiting[0].task.most_tokens)
                if rows > 1 and (rows > self._most_rows or rows * columns > self._cells):
                    break
                coming.append(self._waiting.popleft())
            if coming or self._texts:
                return coming
            self._working = False
            self._lock.notify_all()
            return None

    def _begin(self, text: "_Text") -> None:
        """Read a prompt, choose its first token, and give it a row if it goes on."""
        kept = self._prefixes.take(text.ids) if self._prefixes is not None else None
        cache = kept.cache if kept else DynamicCache(config=self._model.config)
        text.cached = len(kept.ids) if kept else 0
        new = torch.tensor([text.ids[text.cached :]], device=self._model.device)
        places = torch.arange(text.cached, len(text.ids), device=self._model.device)[None]
        scores = self._model(
            input_ids=new, position_ids=places, past_key_values=cache, use_cache=True, logits_to_keep=1
        ).logits[:, -1]
        if text.take(scores):
            self._end(text, cache)
        else:
            self._rows.add(cache, text.task.most_tokens)
            self._texts.append(text)

    def _choose(self, scores: torch.Tensor) -> None:
        """Choose a token of each row. The last row first: it takes the number of one that ends."""
        for row in reversed(range(len(self._texts))):
            if self._texts[row].take(scores[row : row + 1]):
                text, last = self._texts[row], self._texts.pop()
                if last is not text:
                    self._texts[row] = last
                self._end(text, self._rows.remove(row))

    def _end(self, text: "_Text", cache: DynamicCache) -> None:
        """Keep what was read before anybody is told: who asks next may go on from it."""
        if self._prefixes is not None:
            self._prefixes.keep(CachedText(text.ids, cache))
        text.end()

    def _fail(self, texts: "list[_Text]", error: Exception) -> None:
        self._texts.clear()
        self._rows.clear()
        if self._prefixes is not None:
            self._prefixes.clear()
        for text in texts:
            text.relay.end(error)


class _Text:
    """A request on its way.

    Attributes:
        ids: the prompt's tokens, and those chosen so far.
        cached: how many of the prompt's were not read again.
    """

    def __init__(self, loaded: Loaded, task: Task):
        self.task = task
        self.ids = list(task.ids)
        self.cached = 0
        self.relay = _Relay()
        self._writing = Writing(loaded, task, self.relay)
        self._error: Exception | None = None

    def take(self, scores: torch.Tensor) -> bool:
        """Choose the next token, by scores of shape (1, vocabulary); whether the text ends with it."""
        try:
            ids: Any = torch.tensor([self.ids], device=scores.device)
            chosen = self.task.chain(ids, scores.to(torch.float32, copy=True))
            token = int(chosen.argmax(dim=-1))
            self.ids.append(token)
            return self._writing.take(token)
        except Exception as error:  # noqa: BLE001  # one text's own failure must not end the others
            self._error = error
            return True

    def end(self) -> None:
        """Tell the reader the rest."""
        if self._error is None:
            self._writing.end(self.cached)
        self.relay.end(self._error)


class _Relay:
    """Carries pieces from the thread that writes all texts to the one that reads this one.

    It never waits: a slow reader must not hold up the other texts.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._queue: queue.SimpleQueue[Piece | _End] = queue.SimpleQueue()

    def __call__(self, piece: Piece) -> bool:
        self._queue.put(piece)
        return self.stopped

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes."""
        self._queue.put(_End(error))

    def deliver(self, emit: Emit) -> None:
        """Pass everything on until the end, and note when it isn't wanted any more.

        Raises:
            Exception: what ended the text.
        """
        while True:
            try:
                item = self._queue.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                item = Piece("")
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            self.stopped = emit(item) or self.stopped


class _End:
    """The end of a text, well or badly."""

    def __init__(self, error: Exception | None):
        self.error = error
