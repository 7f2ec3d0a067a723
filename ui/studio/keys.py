"""The Write tab's keys: each presses a button that is there to be pressed."""

from storyloom.ui.studio.languages import gettext


def hint() -> str:
    """What they do."""
    told = gettext(
        "<kbd>Ctrl</kbd>+<kbd>Enter</kbd> writes on, <kbd>Esc</kbd> stops. "
        "<kbd>Alt</kbd>+<kbd>←</kbd> and <kbd>→</kbd> show other versions of the picked paragraph, "
        "<kbd>Ctrl</kbd>+<kbd>Z</kbd> undoes an edit, with <kbd>Shift</kbd> redoes it."
    )
    return f'<p class="quiet">{told}</p>'


# For an event's ``js``. In a box of text Alt and Z keep what they mean there, and in a form Ctrl+Enter does
# what the form is for.
SCRIPT = """() => {
  const button = name => {
    const found = document.getElementById(name);
    return found && !found.disabled ? found : null;
  };
  const wanted = event => {
    const control = event.ctrlKey || event.metaKey;
    const typing = event.target.closest('textarea, input:not([type=radio]):not([type=checkbox])');
    if (event.key === 'Enter' && control && event.target.closest('#rewriting'))
      return button(event.target.closest('#proposal') ? 'keep-rewrite' : 'propose');
    if (event.key === 'Enter' && control)
      return event.target.closest('#paragraph-form') ? button('save-form') : button('write');
    if (event.key === 'Escape') return button('stop') || button('stop-rewrite');
    if (typing) return null;
    if (event.altKey && event.key === 'ArrowLeft') return button('earlier-version');
    if (event.altKey && event.key === 'ArrowRight') return button('later-version');
    if (control && event.key.toLowerCase() === 'z') return button(event.shiftKey ? 'redo' : 'undo');
    return null;
  };
  document.addEventListener('keydown', event => {
    const book = document.getElementById('book');
    const pressed = book?.offsetParent && !event.isComposing ? wanted(event) : null;
    // Before the first version Alt+← would leave the page.
    const arrow = event.altKey && /^Arrow(Left|Right)$/.test(event.key);
    const among = arrow && book?.offsetParent && document.querySelector('#version p');
    if (pressed || among) event.preventDefault();
    if (pressed) pressed.click();
  });
}"""
