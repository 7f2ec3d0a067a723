"""The database and the file formats. Values of storyloom.memory go in and out; tables never leave."""
