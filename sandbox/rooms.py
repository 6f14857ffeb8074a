"""All rooms that replace parts of moto, or that keep something while a sandbox runs."""

from sandbox import (
    alarms,
    awslambda,
    buses,
    delegation,
    iam,
    iam_credentials,
    iam_details,
    iam_usage,
    organization,
    principals,
    sessions,
    sns,
    sqs,
    stack_iam,
    stack_sets,
    stacks,
)

PATCHING = (
    iam,
    iam_credentials,
    iam_details,
    iam_usage,
    sessions,
    awslambda,
    sqs,
    sns,
    buses,
    delegation,
    stacks,
    stack_iam,
    stack_sets,
    organization,
)
KEEPING = (principals, organization, delegation, iam_usage, sns, alarms)


def patches():
    """What is replaced while a sandbox runs, as (class or module, name, replacement)."""
    for room in PATCHING:
        yield from room.patches()


def reset():
    """Forget everything that the rooms keep in this process."""
    for room in KEEPING:
        room.reset()
