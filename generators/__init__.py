"""Everything that turns a prompt into text. Knows no SQL, no environment and no page."""
