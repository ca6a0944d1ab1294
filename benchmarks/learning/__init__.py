"""Learning landscapes: curves of trainings from scratch, recorded once and searched often."""
