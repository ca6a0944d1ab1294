"""The claims of searches beside neighbours, against the truth: simulated, and real."""
