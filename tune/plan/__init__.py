"""A plan for a GPU that is not here: the configurations that would fit."""
