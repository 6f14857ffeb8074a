"""The fields ``requestParameters`` and ``responseElements`` of CloudTrail's records.

Names have their first letter lowered; secrets are left out; what was denied says nothing.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from datetime import datetime

from botocore.model import OperationNotFoundError
from botocore.parsers import create_parser
from moto.core.utils import get_service_model

#: Secrets that the services' models do not mark as such: the codes of a device for the second factor.
SECRETS = {"AuthenticationCode1", "AuthenticationCode2", "QRCodePNG"}


def request_parameters(service, action, params):
    """The element of a call's parameters by the names of the API; None if there are none to tell."""
    operation = operation_of(service, action)
    return lowered(params, operation and operation.input_shape) or None


def response_elements(service, action, answer):
    """The element of the body with which a call was answered; None if it answers nothing."""
    operation = operation_of(service, action)
    if operation is None or operation.output_shape is None:
        return None
    text = answer.encode() if isinstance(answer, str) else answer
    raw = {"status_code": 200, "headers": {}, "body": text}
    found = create_parser(operation.service_model.metadata["protocol"]).parse(raw, operation.output_shape)
    found.pop("ResponseMetadata", None)
    return lowered(found, operation.output_shape) or None


def operation_of(service, action):
    """botocore's model of a call; None if it knows of none."""
    try:
        return get_service_model(service).operation_model(action)
    except OperationNotFoundError:
        return None


def lowered(value, shape):
    """A value with the first letters of its names lowered, without secrets, as plain JSON."""
    if isinstance(value, dict):
        members = getattr(shape, "members", {})
        return {
            name[0].lower() + name[1:]: lowered(item, members.get(name))
            for name, item in value.items()
            if item not in (None, {}) and name not in SECRETS and not is_secret(members.get(name))
        }
    if isinstance(value, list | tuple):
        return [lowered(item, getattr(shape, "member", None)) for item in value]
    return us_english(value) if isinstance(value, datetime) else value


def is_secret(shape):
    return bool(shape is not None and shape.metadata.get("sensitive"))


def us_english(time):
    """A time as CloudTrail writes it in ``responseElements``: ``Feb 22, 2026, 4:11:47\u202fPM``."""
    return f"{time:%b} {time.day}, {time:%Y, %-I:%M:%S\u202f%p}"
