"""One Ray cluster of hosts that reach each other: `python -m cluster.join head|worker`.

Ray's own `ray start` succeeds on a worker that nobody can reach, and the worker dies 30 s later, in
the middle of a search. So every port is tried in both directions before Ray is started. Ray itself
is a child process; nothing here imports it.
"""
