"""Landscapes of GPUs that are not there: compiled for them, and turned into speeds by a model."""
