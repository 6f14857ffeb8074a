"""The Lambda's entry point.

Importing it is what Lambda's init phase does, at full CPU and outside of any event. So all that can be
done before the first event is done here: the plugin and the policy's resources are loaded, the
configuration is read, the account is known, and the one IAM client is made.
"""

import json
import logging

import boto3
from c7n import handler as c7n_handler
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
from c7n.structure import StructureParser

from c7n_iamguard import client, plugin  # noqa: F401  the import registers the plugin
from c7n_iamguard.actions import RevokeIAMAccess
from c7n_iamguard.event import decision

log = logging.getLogger("c7n_iamguard")

CONFIG_FILE = "config.json"  # beside the code, which is where Lambda starts the function


def prepare():
    """Do c7n's one-time work of the first event, make the client that serves every event, and connect it."""
    logging.getLogger().setLevel(logging.INFO)  # c7n sets DEBUG, a dozen lines for every event
    with open(CONFIG_FILE) as config:
        data = json.load(config)
    # The function's role is in the function's account. Saves a call to STS.
    role = data["policies"][0]["mode"]["role"]
    data.setdefault("execution-options", {})["account_id"] = role.split(":")[4]
    load_resources(StructureParser().get_resource_types(data))
    c7n_handler.policy_data = data
    c7n_handler.policy_config = c7n_handler.init_config(data)
    iam = boto3.Session().client("iam", config=client.CONFIG)
    client.keep(iam)
    for policy in PolicyCollection.from_data(data, c7n_handler.policy_config):
        for action in policy.resource_manager.actions:
            if isinstance(action, RevokeIAMAccess):
                action.look(iam)


def run(event, context):
    """Run the function's policy on an event that EventBridge delivered, or on dead letters from SQS.

    :param event: any JSON value
    :param context: AWS Lambda's context object
    :returns: True where the event was decided on
    :raises Exception: where it was not, so that Lambda tries it again and then dead-letters it
    """
    letters = dead_letters(event)
    if letters is not None:
        for letter in letters:
            run(letter, context)
        return True
    if not isinstance(event, dict) or not isinstance(event.get("detail", {}), dict):
        # c7n would fail on it, at every try. There is nobody in it who could have called anything.
        log.error(
            decision("let-pass", event, reason="malformed: an event is an object with an object as detail")
        )
        return True
    return c7n_handler.dispatch_event(event, context)


def dead_letters(event):
    """The events in a batch that SQS delivers from the dead-letter queue; None where it is no such batch."""
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list) or not records:
        return None
    if not all(isinstance(record, dict) and record.get("eventSource") == "aws:sqs" for record in records):
        return None
    return [parsed(record.get("body")) for record in records]


def parsed(body):
    """A message's body as JSON; the text itself where it is none, which is a malformed event then."""
    try:
        return json.loads(body)
    except (TypeError, ValueError):
        return body


prepare()
