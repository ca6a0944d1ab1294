"""The policy of a search: pure, but for the study's journal."""
