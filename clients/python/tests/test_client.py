"""The client against a real gateway, whose URL is in SEQUENCER_URL."""

import json
import os
import socket
import unittest
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import quote, urlsplit

from proxy import lost, no_reply, not_written, not_written_for_long, problem, proxy, unavailable_of_a_proxy
from sequencer_client import Refused, Sequencer, Unanswered

URL = os.environ["SEQUENCER_URL"]


def name() -> str:
    """A sequence of its own for each test, also when the tests run again."""
    return f"python-{uuid.uuid4()}"


def define(sequence: str, **fields: object) -> None:
    target = urlsplit(URL)
    connection = HTTPConnection(target.hostname or "", target.port)
    headers = {"Content-Type": "application/json"}
    connection.request("PATCH", f"/v1/sequences/{quote(sequence, safe='')}", json.dumps(fields), headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    connection.close()


class Numbers(unittest.TestCase):
    def setUp(self) -> None:
        self.sequencer = Sequencer(URL)
        self.addCleanup(self.sequencer.close)

    def test_the_numbers_of_a_sequence_follow_each_other(self) -> None:
        sequence = name()
        self.assertEqual(self.sequencer.next(sequence), 1)
        ids = self.sequencer.take(sequence, 5)
        self.assertEqual((ids.sequence, ids.first, ids.last, ids.count), (sequence, 2, 6, 5))
        self.assertEqual(list(ids), [2, 3, 4, 5, 6])
        self.assertEqual(self.sequencer.next(sequence), 7)

    def test_a_sequence_that_counts_down_gives_each_number(self) -> None:
        sequence = name()
        define(sequence, start=30, increment=-10, min=-100, max=30)
        self.assertEqual(list(self.sequencer.take(sequence, 4)), [30, 20, 10, 0])

    def test_numbers_beyond_those_of_a_float_are_exact(self) -> None:
        sequence = name()
        define(sequence, start=2**60 + 1, max=2**63 - 1)
        self.assertEqual(list(self.sequencer.take(sequence, 2)), [2**60 + 1, 2**60 + 2])

    def test_names_that_urls_would_change_are_sequences_of_their_own(self) -> None:
        begin = name()
        for sequence in (f"{begin}/a", f"{begin}/../a", f"{begin}%2Fa", f"{begin}?a#ü 日"):
            self.assertEqual(self.sequencer.next(sequence), 1, sequence)

    def test_a_key_gets_its_number_again(self) -> None:
        sequence = name()
        for key in ("order-7781", " spaces ", '"quoted"', 'back\\slash"', "größe", "日本"):
            first = self.sequencer.next(sequence, key=key)
            self.assertEqual(self.sequencer.next(sequence, key=key), first, key)
        self.assertEqual(self.sequencer.next(sequence), 7)

    def test_threads_share_a_client(self) -> None:
        sequence = name()
        with ThreadPoolExecutor(32) as pool:
            numbers = list(pool.map(lambda _: self.sequencer.next(sequence), range(400)))
        self.assertEqual(sorted(numbers), list(range(1, 401)))


class Failures(unittest.TestCase):
    def test_a_lost_answer_loses_no_number(self) -> None:
        for fault in (lost, no_reply, unavailable_of_a_proxy):
            with self.subTest(fault.__name__), proxy(URL, fault) as between, Sequencer(between.url) as sequencer:
                sequence = name()
                self.assertEqual([sequencer.next(sequence), sequencer.next(sequence)], [1, 2])
                keys = [call["Idempotency-Key"] for call in between.calls]
                self.assertEqual([keys[0] == keys[1], keys[1] == keys[2]], [True, False])

    def test_a_request_that_was_not_written_is_sent_again(self) -> None:
        with proxy(URL, not_written, not_written) as between, Sequencer(between.url) as sequencer:
            self.assertEqual(sequencer.next(name()), 1)
            self.assertEqual(len(between.calls), 3)

    def test_a_refusal_has_its_code_and_is_not_sent_again(self) -> None:
        with proxy(URL) as between, Sequencer(between.url) as sequencer:
            sequence = name()
            with self.assertRaises(Refused) as raised:
                sequencer.take(sequence, 0)
            error = raised.exception
            self.assertEqual((error.code, error.status, error.maybe_taken), ("invalid_count", 400, False))
            sequencer.next(sequence, key="a")
            with self.assertRaises(Refused) as raised:
                sequencer.take(sequence, 2, key="a")
            self.assertEqual((raised.exception.code, raised.exception.key), ("request_id_reused", "a"))
            self.assertEqual(len(between.calls), 3)

    def test_the_error_says_whether_a_number_may_be_taken(self) -> None:
        taken = {not_written_for_long: False, lost: True, no_reply: True, unavailable_of_a_proxy: True}
        for fault, maybe_taken in taken.items():
            with self.subTest(fault.__name__), proxy(URL, then=fault) as between:
                with Sequencer(between.url, timeout_s=1) as sequencer, self.assertRaises(Unanswered) as raised:
                    sequencer.next(name(), key="b")
                self.assertEqual((raised.exception.maybe_taken, raised.exception.key), (maybe_taken, "b"))

    def test_a_refusal_after_a_lost_answer_does_not_say_that_nothing_is_taken(self) -> None:
        with proxy(URL, lost, lambda _: problem(401, "unauthorized")) as between, Sequencer(between.url) as sequencer:
            with self.assertRaises(Refused) as raised:
                sequencer.next(name())
            self.assertTrue(raised.exception.maybe_taken)

    def test_no_number_is_taken_where_nothing_listens(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            with Sequencer(url, timeout_s=1) as sequencer, self.assertRaises(Unanswered) as raised:
                sequencer.next(name())
        self.assertFalse(raised.exception.maybe_taken)

    def test_an_answer_that_is_not_of_a_gateway_is_no_number(self) -> None:
        for status, body in ((404, b"<h1>Not Found</h1>"), (200, b'{"first":"1"}'), (200, b"")):
            with self.subTest(body), proxy(URL, then=lambda _: (status, {}, body)) as between:
                with Sequencer(between.url) as sequencer, self.assertRaises(Unanswered) as raised:
                    sequencer.next(name())
                self.assertTrue(raised.exception.maybe_taken)
                self.assertEqual(len(between.calls), 1)

    def test_the_token_is_sent_and_never_printed(self) -> None:
        with proxy(URL) as between, Sequencer(between.url, token="c2VjcmV0\n") as sequencer:
            sequencer.next(name())
            self.assertEqual(between.calls[0]["Authorization"], "Bearer c2VjcmV0")
        with self.assertRaises(ValueError) as raised:
            Sequencer(URL, token="hush\nhush")
        self.assertNotIn("hush", str(raised.exception))


if __name__ == "__main__":
    unittest.main()
