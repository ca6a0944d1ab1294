"""Machines compared: the best profile of each GPU class, and env steps per dollar."""
