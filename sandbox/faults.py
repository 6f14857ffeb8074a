"""Faults that a test injects: errors and delays in place of an answer."""

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass
class Fault:
    """An error or delay for matching calls, instead of or before their answer.

    :param action: which calls, as a shell pattern over ``service:Operation``
    :param caller: whose calls, as a shell pattern over the caller's ARN
    :param code: the error's code; None to answer as usual
    :param status: the error's HTTP status; with 200 the entries of PutEvents fail, and the call does not
    :param times: how many calls are hit; None for all
    :param skip: how many matching calls pass unharmed before
    :param delay: seconds that every hit call waits
    :param share: which part of the matching calls is hit
    """

    action: str
    code: str | None = None
    status: int = 400
    times: int | None = None
    skip: int = 0
    delay: float = 0
    caller: str = "*"
    message: str = "injected by the sandbox"
    share: float = 1.0
    hits: int = field(default=0, init=False)
    seen: int = field(default=0, init=False)

    def meets(self, action, caller):
        """Whether this fault hits a call, counted."""
        if not (fnmatchcase(action, self.action) and fnmatchcase(caller, self.caller)):
            return False
        self.seen += 1
        spent = self.times is not None and self.hits >= self.times
        # Evenly spread, so that a run can be repeated.
        chosen = int(self.seen * self.share) > int((self.seen - 1) * self.share)
        if self.seen <= self.skip or spent or not chosen:
            return False
        self.hits += 1
        return True


def error_response(request, fault):
    """The answer to a call that an injected fault hits, in the service's own protocol."""
    if request.action == "PutEvents" and fault.status == 200:
        entry = {"ErrorCode": fault.code, "ErrorMessage": fault.message}
        entries = [entry for _ in request.params["Entries"]]
        body = json.dumps({"FailedEntryCount": len(entries), "Entries": entries})
        return 200, {"status": "200", "Content-Type": "application/x-amz-json-1.1"}, body
    if request.protocol in ("query", "ec2", "rest-xml"):
        body = (
            f'<ErrorResponse xmlns="https://{request.service}.amazonaws.com/"><Error><Type>Sender</Type>'
            f"<Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
            f"<RequestId>sandbox</RequestId></ErrorResponse>"
        )
        return fault.status, {"status": str(fault.status), "Content-Type": "text/xml"}, body
    body = json.dumps({"__type": fault.code, "message": fault.message})
    return fault.status, {"status": str(fault.status), "x-amzn-errortype": fault.code}, body
