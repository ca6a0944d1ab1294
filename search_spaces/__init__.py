"""Search spaces as data."""
