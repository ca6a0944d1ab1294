"""The sentences that screen, JSON and report share."""
