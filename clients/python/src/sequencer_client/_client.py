"""Calls of a gateway, with retries."""

import json
import random
import time
import uuid
from types import TracebackType

from . import _answer
from ._connections import Connections, Lost, NotSent
from ._errors import Refused, Unanswered
from ._ids import Ids

# Longest wait for the answer to one attempt: a gateway answers within its `gateway.timeout_ms`, 10 s.
ATTEMPT_S_MAX = 12.0
# Pauses between attempts double, so that a service that comes back is not flooded.
PAUSE_S_FIRST = 0.05
PAUSE_S_MAX = 2.0


class Sequencer:
    """A gateway that gives numbers. Threads may share it.

    Each call has an idempotency key, and is repeated with it until an answer comes or ``timeout_s`` is over. So one call
    takes one number, also when an answer is lost.

    :param url: The gateway, such as ``https://ids.example.com``.
    :param token: The caller's token, if the gateway has a file of callers.
    :param timeout_s: Time of a call with all its attempts, in seconds.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8378", *, token: str | None = None, timeout_s: float = 30.0
    ) -> None:
        self._connections = Connections(url)
        self._headers = {"Content-Type": b"application/json"}
        if token is not None:
            self._headers["Authorization"] = b"Bearer " + _token(token)
        self._timeout_s = timeout_s

    def next(self, sequence: str, *, key: str | None = None) -> int:
        """Takes the next number of ``sequence``.

        :param key: 1 to 255 bytes of UTF-8 that name what the number is for, such as ``order-7781``: a later call with
            the same key gets the same number, as long as the service remembers the key. Random if it is left out.
        :raises Refused: The call is not valid, or the sequence gives no numbers.
        :raises Unanswered: No answer came in time.
        """
        return self.take(sequence, 1, key=key).first

    def take(self, sequence: str, count: int, *, key: str | None = None) -> Ids:
        """Takes ``count`` numbers that follow each other. For ``key`` and errors see :meth:`next`."""
        key = str(uuid.uuid4()) if key is None else key
        headers = {**self._headers, "Idempotency-Key": _header(key)}
        body = json.dumps({"sequence": sequence, "count": count}).encode()
        deadline = time.monotonic() + self._timeout_s
        pause_s, maybe_taken, reason = PAUSE_S_FIRST, False, "the time of the call is over"
        while (left_s := deadline - time.monotonic()) > 0:
            wait_s = 0.0
            try:
                response = self._connections.post("/v1/next", body, headers, min(left_s, ATTEMPT_S_MAX))
            except NotSent as error:
                reason = f"cannot connect: {error}"
            except Lost as error:
                maybe_taken, reason = True, f"the answer is lost: {error}"
            else:
                answer = _answer.read(response.status, response.body, key)
                if answer.ids is not None:
                    return answer.ids
                maybe_taken = maybe_taken or answer.maybe_taken
                reason = f"{answer.code}: {answer.detail}" if answer.code else answer.detail
                if not answer.may_repeat:
                    if answer.code:
                        raise Refused(
                            answer.detail, code=answer.code, status=answer.status, key=key, maybe_taken=maybe_taken
                        )
                    break
                wait_s = _seconds(response.retry_after)
            # By chance, so that callers that failed together do not come back together.
            wait_s = max(wait_s, random.uniform(pause_s / 2, pause_s))
            if time.monotonic() + wait_s >= deadline:
                break
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)
        effect = "a number may be taken; repeat the call soon with its key" if maybe_taken else "no number was taken"
        raise Unanswered(f"{reason}; {effect}", key=key, maybe_taken=maybe_taken)

    def close(self) -> None:
        """Closes the idle connections."""
        self._connections.close()

    def __enter__(self) -> "Sequencer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _token(token: str) -> bytes:
    """The token, without the line break of the file that it was read from."""
    stripped = token.strip()
    if not stripped or not all("!" <= character <= "~" for character in stripped):
        # The error must not repeat a secret.
        raise ValueError("a token has one or more visible ASCII characters, and no others")
    return stripped.encode()


def _header(key: str) -> bytes:
    """The key, quoted, so that spaces and quotation marks stay part of it."""
    if any(character < " " or character == "\x7f" for character in key):
        raise ValueError("a key must not have control characters")
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode()


def _seconds(retry_after: str | None) -> float:
    """The header ``Retry-After`` of a gateway. Proxies may send a date, which counts as none."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else 0.0
