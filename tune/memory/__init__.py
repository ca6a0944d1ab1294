"""Device memory, predicted from compiled programs."""
