"""A person's own training command as a workload: filled in, run, and timed by what it prints."""
