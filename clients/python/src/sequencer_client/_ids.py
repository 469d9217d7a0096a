"""The numbers that a call took."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Ids:
    """Numbers of one sequence, in the order in which they count. Iterate over it to get each of them."""

    sequence: str
    first: int
    last: int
    count: int
    #: The step from one number to the next.
    increment: int
    #: The idempotency key of the call, given or drawn.
    key: str
    #: Where the request lies in the request topic.
    partition: int
    offset: int

    def __iter__(self) -> Iterator[int]:
        return (self.first + step * self.increment for step in range(self.count))
