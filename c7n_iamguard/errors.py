"""Errors that one sentence explains: what is wrong in an account, and how to fix it.

Custodian logs an error with its traceback, and some twice. It logs a :class:`Refusal` once, as its sentence.
"""

import logging
from contextlib import contextmanager

from c7n.exceptions import PolicyExecutionError


class Refusal(PolicyExecutionError):
    """A policy must not run, or cannot be deployed, as things are."""


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


@contextmanager
def logged_once():
    """Keep Custodian from logging an error where it happens, because it logs the error again at the end."""
    output = logging.getLogger("custodian.output")

    def is_no_error(record):
        return not record.exc_info

    output.addFilter(is_no_error)
    try:
        yield
    finally:
        output.removeFilter(is_no_error)
