"""All modules that replace parts of moto, or that keep something while a sandbox runs."""

from sandbox.access import principals
from sandbox.cloudformation import iam, stack_sets, stacks
from sandbox.cloudwatch import alarms
from sandbox.events import buses
from sandbox.iam import credentials, entities, last_accessed, listings
from sandbox.lambda_ import functions
from sandbox.organizations import organization, scps
from sandbox.sns import subscriptions
from sandbox.sqs import queues
from sandbox.sts import sessions

PATCHING = (
    entities,
    credentials,
    listings,
    last_accessed,
    sessions,
    functions,
    queues,
    subscriptions,
    buses,
    scps,
    stacks,
    iam,
    stack_sets,
    organization,
)
KEEPING = (principals, organization, scps, last_accessed, subscriptions, alarms)


def patches():
    """What is replaced while a sandbox runs, as (class or module, name, replacement)."""
    for module in PATCHING:
        yield from module.patches()


def reset():
    """Forget everything that the modules keep in this process."""
    for module in KEEPING:
        module.reset()
