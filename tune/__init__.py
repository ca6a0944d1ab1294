"""What a person runs: one search, from start to profile."""
