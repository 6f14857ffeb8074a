"""The rights of the templates' roles, those that wait for their feature, and a role that lacks one right."""

import functools
import json
from contextlib import contextmanager

import yaml

from sandbox.access import authorization
from sandbox.server import DEPLOY

DEPLOYER, READER, RESPONSE, GUARD, CONTAIN, FORWARD, TELL, CENTRAL, PEOPLE = (
    "iam-guard-deployer",
    "iam-guard-reader",
    "iam-guard-response",
    "iam-guard",
    "iam-guard-contain",
    "iam-guard-forward",
    "iam-guard-tell",
    "iam-guard-central",
    "iam-guard-people",
)

#: The guard's functions, whose rules, logs and queues have their names.
FUNCTIONS = (
    "iam-guard-revoke-unintended-iam-access",
    "iam-guard-revoke-unintended-iam-access-of-roles",
    "iam-guard-protect-admin-group",
    "iam-guard-catch-up-unintended-iam-access",
    "iam-guard-catch-up-unintended-iam-access-of-roles",
    "iam-guard-catch-up-admin-group",
    "iam-guard-contain-unintended-iam-calls",
    "iam-guard-contain-unintended-iam-calls-of-roles",
)

#: Rights that the roles' own tests do not show to be needed, each with the reason or the test that uses it.
PENDING = {
    DEPLOYER: {"organizations:ListTargetsForPolicy": "test_people.py"},
    RESPONSE: {
        "lambda:InvokeFunction": "test_people.py",
        "sqs:SendMessage": "test_people.py",
        "sqs:StartMessageMoveTask": "test_people_setup.py",
        # A move of messages asks for them (Amazon SQS Developer Guide, redrive); the sandbox does not.
        **dict.fromkeys(("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"), "the sandbox"),
        "lambda:GetEventSourceMapping": "the sandbox, which forgets the function of a mapping",
        "lambda:DeleteEventSourceMapping": "the sandbox, which forgets the function of a mapping",
    },
}


class Template(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """A CloudFormation template as it is where all its conditions hold; other functions are texts."""


def _short(loader, suffix, node):
    if suffix == "If":
        return loader.construct_sequence(node, deep=True)[1]
    return f"!{suffix} {node.value}"


Template.add_multi_constructor("!", _short)


@functools.cache
def template(name):
    """One of the templates of ``deploy/``."""
    return yaml.load((DEPLOY / name).read_text(), Template)  # noqa: S506  a SafeLoader


def resources(name):
    return template(name)["Resources"]


def of_type(name, kind):
    """The properties of a template's resources of one type."""
    return [r["Properties"] for r in resources(name).values() if r["Type"] == kind]


def inline(resource):
    """The inline policy of a role of a template."""
    (policy,) = resource["Properties"]["Policies"]
    return policy["PolicyDocument"]


def allowed(role, *documents):
    """Every action that a role's policy documents allow, one by one, but those that are pending."""
    found = set()
    for document in documents:
        for statement in document["Statement"]:
            found |= (
                set(authorization.listed(statement["Action"])) if statement["Effect"] == "Allow" else set()
            )
    waiting = set(PENDING.get(role, ()))
    assert waiting <= found, f"{waiting - found} of {role} is pending, and no right of it"
    return sorted(found - waiting)


@contextmanager
def rights_used(role):
    """The actions that a role of this name needs, as long as the block lasts: it asks for them, and may do them."""
    found, authorized = set(), authorization.authorized

    def note(principal, action, *rest):
        allowed = authorized(principal, action, *rest)
        if (
            allowed and principal.name == role and action != "sts:GetCallerIdentity"
        ):  # which nobody is refused
            found.add(action)
        return allowed

    authorization.authorized = note
    try:
        yield found
    finally:
        authorization.authorized = authorized


@contextmanager
def without(backend, role, action):
    """A role that lacks one action, as long as the block lasts."""
    holder = backend.get_role(role)
    versions = [v for p in holder.managed_policies.values() for v in p.versions]
    before = dict(holder.policies), [version.document for version in versions]
    holder.policies = {name: lacking(document, action) for name, document in holder.policies.items()}
    for version in versions:
        version.document = lacking(version.document, action)
    try:
        yield
    finally:
        holder.policies = before[0]
        for version, document in zip(versions, before[1], strict=True):
            version.document = document


def lacking(document, action):
    """A policy document that allows all but one action of what it did."""
    document = json.loads(document) if isinstance(document, str) else document
    left = [
        {**statement, "Action": [a for a in authorization.listed(statement["Action"]) if a != action]}
        if statement["Effect"] == "Allow"
        else statement
        for statement in document["Statement"]
    ]
    return json.dumps({**document, "Statement": [statement for statement in left if statement["Action"]]})


def documents(role):
    """The inline policies of a role that is deployed, as dicts."""
    return [json.loads(d) if isinstance(d, str) else d for d in role.policies.values()]


def session(environ):
    """The credentials of an environment, as STS answers them."""
    return {
        "AccessKeyId": environ["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": environ["AWS_SECRET_ACCESS_KEY"],
        "SessionToken": environ["AWS_SESSION_TOKEN"],
    }
