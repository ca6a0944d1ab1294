"""The errors that a person can mend: one tree, one sentence each. Stdlib only."""


class UserError(ValueError):
    """What a person asked for cannot be done; the message says what to do instead."""


class FleetError(UserError):
    """What a person can mend; the message is one sentence that says how."""


class BoxError(UserError):
    """The box cannot do what was asked; the message says why and what to do."""


class JoinError(UserError):
    """This host cannot join; the message is one sentence that says why and what to do."""
