"""The search of any training command: its options, its probe, and how it is shown."""
