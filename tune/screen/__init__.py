"""The screen of a search: terminal, plain lines, JSON lines."""
