"""What may vary, as data."""
