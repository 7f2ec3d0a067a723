"""Keeps Gradio from working where there is nothing to do: the cores are the model's.

Its threads wait for the slowest of them, so that a process beside them that wakes often slows every word.
"""

import gradio as gr

# Gradio's marks of what waits count seconds in every frame, sixty a second, and go on when they have been
# taken off the page: that of the page's own loading always does. Nothing of ours shows such seconds.
_NO_CLOCKS = """(() => {
  const ask = window.requestAnimationFrame.bind(window);
  const isClock = callback => /performance\\.now\\(\\)-.{1,12}\\/1e3/.test(callback);
  window.requestAnimationFrame = callback => isClock(callback) ? 0 : ask(callback);
})();"""
# For the page's head.
HEAD = f"<script>{_NO_CLOCKS}</script>"
# For Gradio's events: no output is told that it waits, which would draw each of them twice more.
NO_MARKS = {"show_progress": "hidden", "show_progress_on": []}


def let_rest(blocks: gr.Blocks) -> None:
    """Look for queued events 20 times a second, as Gradio does on Windows; elsewhere it does 1,000 times."""
    queue = blocks._queue  # Gradio has no public place for it
    queue.sleep_when_free = 0.05
    queue.progress_update_sleep_when_free = 0.1
