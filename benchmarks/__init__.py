"""The project's claims, as commands that print a table."""
