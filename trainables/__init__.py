"""One trial: the workloads, the child that measures them, the parent that watches it."""
