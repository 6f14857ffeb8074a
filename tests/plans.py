"""Plans for calls of the user bob, in CloudTrail's own shapes, and whether the AWS CLI takes their commands."""

import shlex

import aws_cli
from botocore.session import get_session
from botocore.validate import validate_parameters
from helpers import case

from c7n_iamguard.contain import undoable
from c7n_iamguard.event import caller

IAM = get_session().get_service_model("iam")


QUARANTINE = "arn:aws:iam::111122223333:policy/iam-guard-quarantine"


KEY, SSH, CREDENTIAL = "AKIAIOSFODNN7EXAMPLE", "APKAEXAMPLE7EXAMPLE00", "ACCAEXAMPLE7EXAMPLE00"


ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


SAML = "arn:aws:iam::111122223333:saml-provider/idp"


OIDC = "arn:aws:iam::111122223333:oidc-provider/idp.example.com"


DATE = "Feb 22, 2026, 4:11:47\u202fPM"


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


#: A call that is left, its parameters, IAM's answer, and the commands for a person.
POLICY = "arn:aws:iam::111122223333:policy/team"


def check_command(command):
    """Fail unless the AWS CLI would take a command as it stands."""
    words = shlex.split(command)
    service, operation, *rest = words[1:]
    options = {k: v for k, v in aws_cli.options_of(rest).items() if k not in ("region",)}
    client = get_session().create_client(service, region_name="us-east-1")
    shape = IAM if service == "iam" else client.meta.service_model
    model = shape.operation_model(client.meta.method_to_api_mapping[operation.replace("-", "_")])
    plain = {k: ["x" * 1000 if v.startswith("file://") else v for v in vs] for k, vs in options.items()}
    found = aws_cli.parameters(model.input_shape, plain)
    if model.input_shape:
        validate_parameters(found, model.input_shape)
