"""Plans for calls of the user bob, in CloudTrail's own shapes, and whether the AWS CLI takes their commands."""

import functools
import shlex

import aws_cli
from botocore import xform_name
from botocore.session import get_session
from botocore.validate import validate_parameters
from helpers import case

from c7n_iamguard.contain import undoable
from c7n_iamguard.event import caller

IAM = get_session().get_service_model("iam")
QUARANTINE = "arn:aws:iam::111122223333:policy/iam-guard-quarantine"
KEY, SSH, CREDENTIAL = "AKIAIOSFODNN7EXAMPLE", "APKAEXAMPLE7EXAMPLE00", "ACCAEXAMPLE7EXAMPLE00"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
POLICY = "arn:aws:iam::111122223333:policy/team"
SAML = "arn:aws:iam::111122223333:saml-provider/idp"
OIDC = "arn:aws:iam::111122223333:oidc-provider/idp.example.com"
DOCUMENT = (
    '{\n  "Version": "2012-10-17",\n  "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]\n}'
)


def record(name, parameters=None, elements=None, **more):
    """CloudTrail's record of a successful call of the user bob."""
    found = case("revoked-create-user")["detail"]
    found.pop("errorCode", None)
    return {**found, "eventName": name, "requestParameters": parameters, "responseElements": elements, **more}


def plan(name, parameters=None, elements=None, **more):
    """The plan for a call of the user bob."""
    found = record(name, parameters, elements, **more)
    return undoable.plan(found, caller(found), QUARANTINE)


def status(kind, option, id_, user, value):
    return f"aws iam update-{kind} --user-name {user} --{option} {id_} --status {value}"


@functools.cache
def operations(service):
    """The models of a service's operations, by their names as commands."""
    model = get_session().get_service_model(service)
    return {xform_name(name, "-"): model.operation_model(name) for name in model.operation_names}


def check_command(command):
    """Fail unless the AWS CLI would take a command as it stands."""
    service, operation, *rest = shlex.split(command)[1:]
    options, shape = aws_cli.options_of(rest), operations(service)[operation].input_shape
    options.pop("region", None)
    plain = {k: ["x" * 1000 if v.startswith("file://") else v for v in vs] for k, vs in options.items()}
    found = aws_cli.parameters(shape, plain)
    if shape:
        validate_parameters(found, shape)
