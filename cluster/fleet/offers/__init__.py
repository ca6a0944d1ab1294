"""Machines compared: the best profile of each GPU class, and steps per dollar."""
