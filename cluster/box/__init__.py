"""One rented box's end of the fleet: jobs that outlive the laptop, read and ended by commands.

Stdlib only, for the box's own Python: it must work before anything is installed. Each command is
`python -m cluster.box NAME` in the fleet's `code` folder, takes JSON on stdin, prints JSON.
"""
