"""The market that all phases trade: bars, sessions, features, positions."""
