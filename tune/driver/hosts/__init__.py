"""The hosts that run trials: this one, those of cluster.join, and those of any Ray cluster."""
