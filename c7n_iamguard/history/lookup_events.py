"""CloudTrail's event history of IAM: the calls of the last 90 days, reads included, without a trail.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

import json
import logging
import time
from random import uniform

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from c7n.exceptions import PolicyExecutionError

from c7n_iamguard.event import EVENT_SOURCE
from c7n_iamguard.iam import client

log = logging.getLogger("c7n_iamguard.history.lookup_events")

#: The most events that one request returns.
PAGE_SIZE = 50
#: AWS answers two requests a second, to everybody in the account and region together.
SECONDS_PER_REQUEST = 0.5
#: How many seconds to go on trying while AWS answers no request at all.
PATIENCE = 300
#: The longest pause between two tries, and between two lines of progress in the log, in seconds.
LONGEST_PAUSE, PROGRESS = 20, 30

#: The reader tries again by itself: botocore would, too, and faster than AWS's limit allows.
CONFIG = client.CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=30))


class IncompleteHistory(PolicyExecutionError):
    """A part of the event history could not be read. The text says which, and why."""


class History:
    """CloudTrail's records of the calls to IAM in a span of time, newest first. Iterate it once.

    A request can select by one attribute alone. This selects IAM's events, reads included: ``ReadOnly=false`` would
    select the writes of every service, and most accounts have more of these. It keeps no record, so memory does not
    grow with the records that a reader drops.

    :param client: a CloudTrail client with :data:`CONFIG`, in the region that has IAM's events
    :param account: the account's id; records that are about another account are left out
    :param start: the beginning of the span, a datetime with a time zone
    :param end: its end
    :param partial: False to raise :class:`IncompleteHistory` if a part cannot be read; True to go on, or to end
        early. After that, :attr:`problems` says what is missing.
    :param seconds: with ``partial``, how long reading may take
    """

    def __init__(self, client, account, start, end, partial=False, seconds=float("inf")):
        self.client, self.account, self.partial = client, account, partial
        self.span = {"StartTime": start, "EndTime": end}
        self.deadline = time.monotonic() + seconds
        self.next_request = time.monotonic()
        self.requests = self.events = 0
        #: One sentence for each part that could not be read.
        self.problems = []

    def __iter__(self):
        """The records, as JSON objects."""
        started = reported = time.monotonic()
        for entries in self.pages():
            self.events += len(entries)
            if entries and time.monotonic() - reported >= PROGRESS:
                reported = time.monotonic()
                log.info(
                    f"CloudTrail's event history: {self.events} IAM events read in {reported - started:.0f} s, "
                    f"back to {entries[-1].get('EventTime')}; the look-up ends at {self.span['StartTime']}"
                )
            for entry in entries:
                record = self.record_in(entry)
                if record and record.get("recipientAccountId", self.account) == self.account:
                    yield record
        took = time.monotonic() - started
        read = f"{self.events} IAM events read in {took:.0f} s, requests: {self.requests}"
        log.info(f"CloudTrail's event history: {read}")

    def pages(self):
        """The entries of the history, page by page."""
        attribute = {"AttributeKey": "EventSource", "AttributeValue": EVENT_SOURCE}
        request = {"LookupAttributes": [attribute], **self.span, "MaxResults": PAGE_SIZE}
        while page := self.answer(request):
            yield page["Events"]
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]

    def record_in(self, entry):
        """The record inside an entry of a page; None if it cannot be read."""
        try:
            record = json.loads(entry["CloudTrailEvent"])
            if isinstance(record, dict):
                return record
            reason = "CloudTrailEvent is no JSON object"
        except (KeyError, ValueError) as error:
            reason = f"CloudTrailEvent: {type(error).__name__}: {error}"
        self.miss(f"the entry {entry.get('EventId')} of {entry.get('EventTime')} cannot be read: {reason}")
        return None

    def answer(self, request):
        """CloudTrail's answer to a request, tried again while that may help; None if there is none in time."""
        give_up = min(time.monotonic() + PATIENCE, self.deadline)
        pause = 1
        while True:
            try:
                self.pace()
                if time.monotonic() >= self.deadline:
                    self.miss("the time for reading is over")
                    return None
                self.requests += 1
                return self.client.lookup_events(**request)
            except (BotoCoreError, ClientError) as error:
                wait = pause * uniform(0.5, 1)  # noqa: S311  spreads the tries, and is no secret
                if not may_pass(error) or time.monotonic() + wait >= give_up:
                    self.miss(f"CloudTrail's LookupEvents failed: {error}", error)
                    return None
                log.debug(f"CloudTrail's LookupEvents will be tried again in {wait:.1f} s: {error}")
                time.sleep(wait)
                pause = min(2 * pause, LONGEST_PAUSE)

    def pace(self):
        """Wait until AWS's limit allows another request."""
        now = time.monotonic()
        if now < self.next_request:
            time.sleep(self.next_request - now)
        self.next_request = max(now, self.next_request) + SECONDS_PER_REQUEST

    def miss(self, problem, error=None):
        """Note that a part of the history could not be read, or raise the error unless ``partial``."""
        sentence = f"CloudTrail's event history is incomplete: {problem}"
        if not self.partial:
            raise IncompleteHistory(sentence) from error
        log.error(sentence)
        self.problems.append(problem)


def may_pass(error):
    """Whether an error of LookupEvents is one that goes away: throttling, AWS's own trouble, the network's."""
    if not isinstance(error, ClientError):
        return isinstance(error, ConnectionError | HTTPClientError)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status == 429 or status >= 500 or client.error_code(error) in client.THROTTLES
