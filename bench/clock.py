"""One event through one function, and what is seen of it: milliseconds and calls until the denial, and in all."""

import threading
import time
from dataclasses import dataclass

from bench.callers import ADMIN


@dataclass
class Sample:
    """One event: what the Runtime API saw of it, and what reached IAM.

    :param init_seconds: of the environment's start, also where an event before has started it
    :param seconds: of the event, from its hand-over to the function's answer
    :param denied_seconds: of the event, until IAM has taken the denial; None without one
    :param calls: to AWS in all
    :param denied_calls: to AWS until the denial, that one included
    :param moto_seconds: what the calls took there
    """

    init_seconds: float
    seconds: float
    denied_seconds: float | None
    calls: int
    denied_calls: int | None
    connections: int
    moto_seconds: float


class Clock:
    """Stands between the functions and moto: times the calls, and sees when a caller becomes denied."""

    def __init__(self, box):
        self.box, self.answer, self.lock = box, box.server.application, threading.Lock()
        box.server.application = self
        self.watch(None)

    def watch(self, is_denied):
        """Begin to count anew.

        :param is_denied: says whether the caller is denied by now; None if nobody will be
        """
        del self.box.calls[:], self.box.pending[:]
        self.is_denied, self.seconds = is_denied, 0.0
        self.denied_at = self.denied_calls = None
        self.connections = len(self.box.connections)

    def __call__(self, environ, start_response):
        started = time.perf_counter()
        try:
            return self.answer(environ, start_response)
        finally:
            ended = time.perf_counter()
            with self.lock:
                self.seconds += ended - started
                if self.is_denied and self.denied_at is None and self.is_denied():
                    self.denied_at, self.denied_calls = ended, len(self.calls())

    def calls(self):
        """The calls of functions so far. Lambda's own, by which it takes the function's role, is none."""
        return [call for call in self.box.calls if call.action != "AssumeRole"]

    def new_connections(self):
        """The new connections of functions so far."""
        lambdas_own = len(self.box.calls) - len(self.calls())
        return len(self.box.connections) - self.connections - lambdas_own


def once(box, clock, function, name):
    """One event of a caller through a function.

    :param function: of :mod:`bench.functions`
    :param name: the caller's name; the one who may use IAM has to be let pass, others have to be denied
    :raises RuntimeError: if it comes out differently
    """
    kind, account = function.kind, function.account
    event = kind.event(box, account, name)
    clock.watch(lambda: kind.is_denied(account, name))
    handed_over = time.perf_counter()
    attempt = box.functions.attempt(function.name, event, account)
    if attempt.outcome != "succeeded" or kind.is_denied(account, name) != (name != ADMIN):
        raise RuntimeError(f"{function.name} has not done its work on {name}: {attempt}")
    environment = function.environment(box)
    begun = max(handed_over, environment.started + attempt.init_seconds)
    return Sample(
        attempt.init_seconds,
        attempt.seconds,
        clock.denied_at and clock.denied_at - begun,
        len(clock.calls()),
        clock.denied_calls,
        clock.new_connections(),
        clock.seconds,
    )
