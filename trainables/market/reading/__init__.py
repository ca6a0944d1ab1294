"""The reader of files of bars: what a file is, its columns, its numbers and its times."""
