"""A decision: its line in the log, and its annotation on the resource."""

import json
from contextlib import suppress

from c7n_iamguard.event import MalformedEvent, caller, seconds_since, str_or_none, value_at

#: The annotation of a resource with the decision about it, for the actions that follow and Custodian's output.
ANNOTATION = "c7n:IAMGuard"


def facts(event):
    """The id, name, time and error of an event's call, each only if it is there and a text."""
    record = value_at(event, "detail")
    texts = {key: str_or_none(record, key) for key in ("eventID", "eventName", "eventTime", "errorCode")}
    return {key: text[:256] for key, text in texts.items() if text is not None}


def log_line(verdict, event, **fields):
    """One decision as one line of JSON, for CloudWatch Logs Insights. Fields that are None are left out.

    :param verdict: ``revoked``, ``let-pass``, ``failed`` or another of the decisions in the reference
    :param event: any JSON value; None outside an event mode. ``delay`` is the seconds from its call to now
    """
    record = value_at(event, "detail")
    age = seconds_since(record)
    fields = {"decision": verdict, **fields, **facts(event), "delay": None if age is None else round(age)}
    with suppress(MalformedEvent):
        who = caller(record)
        fields |= {"session": who.session, "sourceIdentity": who.source_identity}
        fields |= {"onBehalfOf": who.on_behalf_of, "invokedBy": who.invoked_by}
    return json.dumps({key: value for key, value in fields.items() if value is not None})
