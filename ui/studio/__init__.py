"""The studio: the page to play and co-write in, a file a tab."""
