"""The policy of a search: pure, except for the study's journal."""
