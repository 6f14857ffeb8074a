"""Errors whose sentence says all: what is wrong in an account, and what to do about it.

Custodian logs the traceback of an error, and some of them twice. For these, it logs the sentence once.
"""

import logging
from contextlib import contextmanager

from c7n.exceptions import PolicyExecutionError


class Refusal(PolicyExecutionError):
    """A policy that must not run, or cannot be deployed, as things are."""


def log_refusals_in_one_sentence():
    """Let Custodian log a :class:`Refusal` once, as its sentence."""
    logging.getLogger("custodian.output").addFilter(is_no_refusal)
    logging.getLogger("custodian.commands").addFilter(without_traceback)


def without_traceback(record):
    """Reduce the log record of a :class:`Refusal` to its message."""
    if not is_no_refusal(record):
        record.msg, record.args, record.exc_info = str(record.exc_info[1]), (), None
    return True


def is_no_refusal(record):
    """Whether a log record is about something else than a :class:`Refusal`."""
    return not (record.exc_info and isinstance(record.exc_info[1], Refusal))


def is_no_error(record):
    """Whether a log record is about no error."""
    return not record.exc_info


@contextmanager
def logged_once():
    """Keep Custodian from logging an error where it happens, as it logs it again in the end."""
    output = logging.getLogger("custodian.output")
    output.addFilter(is_no_error)
    try:
        yield
    finally:
        output.removeFilter(is_no_error)
