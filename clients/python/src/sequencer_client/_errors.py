"""The errors of a call."""


class SequencerError(Exception):
    """A call gave no number."""

    #: The idempotency key of the call. A repeat with it gets the number that this call may have taken.
    key: str
    #: True if this call may have taken a number, now or later.
    maybe_taken: bool

    def __init__(self, message: str, *, key: str, maybe_taken: bool) -> None:
        super().__init__(message)
        self.key = key
        self.maybe_taken = maybe_taken


class Refused(SequencerError):
    """The gateway or the service refused the call. A repeat would be refused as well."""

    #: The stable error code, such as ``invalid_count``: see the list of errors in the documentation.
    code: str
    #: The HTTP status.
    status: int

    def __init__(self, message: str, *, code: str, status: int, key: str, maybe_taken: bool) -> None:
        super().__init__(f"{code}: {message}", key=key, maybe_taken=maybe_taken)
        self.code = code
        self.status = status


class Unanswered(SequencerError):
    """No valid answer came in time. If ``maybe_taken`` is true, repeat the call soon with ``key``."""
