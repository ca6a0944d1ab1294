"""The searches that ours is compared with, each with its defaults, behind one interface."""
