"""A plan for a GPU that is not here: what would fit."""
