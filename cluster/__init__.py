"""Machines: one of them, rented boxes, and hosts that join into one cluster."""
