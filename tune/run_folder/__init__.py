"""The folder of one search: its lock, record, log and tables."""
