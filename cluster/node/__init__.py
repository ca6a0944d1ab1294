"""One machine: who it is, what it allows, and the environment that keeps a trial inside."""
