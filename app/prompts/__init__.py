"""The agents' prompt templates; a file of the same name in the data folder wins."""
