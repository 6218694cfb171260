"""Where artifacts go: a file for each kind of destination, with all that is configured of it."""
