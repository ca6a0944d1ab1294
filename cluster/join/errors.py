"""The one error of joining."""


class JoinError(ValueError):
    """This host cannot join; the message is one sentence that says why and what to do."""
