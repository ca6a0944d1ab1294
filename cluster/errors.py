"""Errors that a person can mend, in one tree, each told in one sentence. Stdlib only."""


class UserError(ValueError):
    """A request that cannot be met; the message says what to do instead."""


class FleetError(UserError):
    """A mistake in the use of the fleet; the message says how to mend it."""


class BoxError(UserError):
    """A box's refusal; the message says why and what to do."""


class JoinError(UserError):
    """A host's failure to join a cluster; the message says why and what to do."""
