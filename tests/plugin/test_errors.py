"""Custodian's log of an error that one sentence explains."""

import contextlib
import logging
import sys

from c7n_iamguard import errors


def record(error):
    """The log record of an error, as Custodian logs it."""
    try:
        raise error
    except Exception:
        return logging.LogRecord("custodian", logging.ERROR, "", 0, "error in %s", ("p",), sys.exc_info())


def test_a_refusal_is_logged_as_its_sentence_and_any_other_error_as_it_is():
    """A refusal loses its traceback and what Custodian says around it; a bug keeps both."""
    refusal, bug = record(errors.Refusal("the group is gone")), record(KeyError("x"))
    assert errors.without_traceback(refusal)
    assert (refusal.getMessage(), refusal.exc_info) == ("the group is gone", None)
    assert errors.without_traceback(bug)
    assert (bug.getMessage(), bug.exc_info[0]) == ("error in p", KeyError)
    assert not errors.is_no_refusal(record(errors.Refusal("x")))
    assert errors.is_no_refusal(record(KeyError("x")))


def test_an_error_is_kept_from_the_log_while_a_deployment_lasts():
    """Custodian logs the error again at the end; without an error, and afterwards, it logs as ever."""
    output, error = logging.getLogger("custodian.output"), record(KeyError("x"))
    with contextlib.suppress(KeyError), errors.logged_once():
        assert not output.filter(error)
        assert output.filter(logging.LogRecord("custodian", logging.INFO, "", 0, "deployed", (), None))
        raise KeyError
    assert output.filter(error)
