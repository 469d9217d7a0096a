"""Decides what an HTTP answer means."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ._ids import Ids

# Codes of answers that say: this attempt wrote nothing. Any other 429 or 503 may come from a proxy, which does not know.
NOTHING_WRITTEN = frozenset({"not_ready", "not_written", "too_many_calls", "body_timeout"})


@dataclass(frozen=True)
class Answer:
    """An answer, as far as a call needs it."""

    status: int
    #: The numbers, if the answer has them.
    ids: Ids | None
    #: The error code, empty if the answer is not one of a gateway.
    code: str
    detail: str

    @property
    def may_repeat(self) -> bool:
        """Whether the same call may succeed soon."""
        transient = self.status >= 500 or self.status == HTTPStatus.TOO_MANY_REQUESTS
        return transient or self.code in NOTHING_WRITTEN

    @property
    def maybe_taken(self) -> bool:
        """Whether the attempt may have taken a number."""
        refused = bool(self.code) and self.status < 500
        return not refused and self.code not in NOTHING_WRITTEN


def read(status: int, body: bytes, key: str) -> Answer:
    """Reads an answer. One that is not valid has no numbers and no code."""
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    if status == HTTPStatus.OK:
        try:
            return Answer(status, _ids(fields, key), "", "")
        except (KeyError, TypeError):
            return Answer(status, None, "", "the answer has no numbers")
    code, detail = fields.get("code"), fields.get("detail")
    if isinstance(code, str) and isinstance(detail, str):
        return Answer(status, None, code, detail)
    return Answer(status, None, "", f"HTTP status {status}, and not an answer of a gateway")


def _ids(fields: dict[str, Any], key: str) -> Ids:
    def number(name: str) -> int:
        value = fields[name]
        if type(value) is not int:
            raise TypeError(name)
        return value

    return Ids(
        sequence=str(fields["sequence"]),
        first=number("first"),
        last=number("last"),
        count=number("count"),
        increment=number("increment") if "increment" in fields else 1,
        key=key,
        partition=number("partition"),
        offset=number("offset"),
    )
