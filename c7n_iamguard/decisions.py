"""A decision: its line in the log, and its annotation on the resource."""

import json

from c7n_iamguard.event import MalformedEvent, caller, seconds_since, str_or_none

#: The annotation of a resource that says what was decided about it. The actions that follow read it, and it
#: is part of Custodian's output.
ANNOTATION = "c7n:IAMGuard"


def facts(event):
    """What a log line or an output record says of an event: id, name, time and error of the call.

    Works on anything, malformed events too: what is missing, or is no text, is left out.
    """
    record = _record(event)
    keys = ("eventID", "eventName", "eventTime", "errorCode")
    return {key: found[:256] for key in keys if (found := str_or_none(record, key)) is not None}


def log_line(verdict, event, **fields):
    """One decision as one line of JSON, for CloudWatch Logs Insights.

    :param verdict: ``revoked``, ``let-pass``, ``failed`` or another of the decisions in the reference
    :param event: the event that it was decided on, or None outside an event mode; any JSON value
    :param fields: what else belongs to it; None values are left out
    :returns: JSON text; ``delay`` in it is the seconds from the call to now
    """
    record = _record(event)
    age = seconds_since(record)
    fields = {"decision": verdict, **fields, **facts(event), "delay": None if age is None else round(age)}
    try:
        who = caller(record)
        fields |= {
            "session": who.session,
            "sourceIdentity": who.source_identity,
            "onBehalfOf": who.on_behalf_of,
            "invokedBy": who.invoked_by,
        }
    except MalformedEvent:
        pass  # nobody is named in it
    return json.dumps({key: value for key, value in fields.items() if value is not None})


def _record(event):
    """CloudTrail's record in an event; an empty one if there is none."""
    record = event.get("detail") if isinstance(event, dict) else None
    return record if isinstance(record, dict) else {}
