"""Reading and writing stories as files."""
