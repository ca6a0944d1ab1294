"""What this project claims, as commands that print a table."""
