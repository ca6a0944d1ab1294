"""The box's side of the fleet: it runs jobs that go on without the laptop.

Stdlib only, for the box's own Python: it must work before anything is installed. Each command is
`python -m cluster.box NAME` in the fleet's `code` folder, takes JSON on stdin, prints JSON.
"""
