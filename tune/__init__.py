"""The commands that a person runs, and one search from its options to its profiles."""
