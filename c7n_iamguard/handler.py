"""The Lambda's entry point.

Lambda imports this module in its init phase, at full CPU and before any event. So this module does here, once,
all that can be done before the first event: it loads the plugin, makes and validates the policies, and connects.
"""

from c7n_iamguard import cold_start

cold_start.begin()

import json
import logging
import os
from contextlib import suppress

with cold_start.without_time_zones():
    from c7n import handler as c7n_handler

from c7n.exceptions import PolicyValidationError
from c7n.manager import iter_filters
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
from c7n.resources.aws import AWS
from c7n.structure import StructureParser
from c7n.utils import local_session

from c7n_iamguard import errors
from c7n_iamguard.decisions import log_line
from c7n_iamguard.iam import client

log = logging.getLogger("c7n_iamguard")


def prepare():
    """Make the function's policies, validated, and the clients that serve every event."""
    logging.getLogger().setLevel(logging.INFO)  # c7n sets DEBUG, a dozen lines for every event
    errors.log_refusals_in_one_sentence()
    with open("config.json") as file:  # Lambda starts the function in the folder of its code
        data = json.load(file)
    for policy in data["policies"]:
        policy["mode"].get("tags", {}).pop("custodian-info", None)  # c7n's own tag, which c7n would warn of
    policies = load_policies(data, options_of(data))
    for policy in policies:
        policy.validate()
        session = local_session(policy.session_factory)
        cold_start.list_services_by_folder(session)
        config = client.BULK_CONFIG if policy.execution_mode == "periodic" else client.CONFIG
        client.keep("iam", session.client("iam", config=config))
        manager = policy.resource_manager
        for element in (*iter_filters(manager.filters), *manager.actions):
            if hasattr(element, "prepare"):
                element.prepare()
    return policies


def options_of(data):
    """c7n's options for the function, without the files that c7n would write to its disk for every event."""
    options = data.setdefault("execution-options", {})
    # Without these, c7n would make a session and ask STS. The function's account is its role's.
    options["regions"] = [os.environ["AWS_REGION"]]
    options["account_id"] = data["policies"][0]["mode"]["role"].split(":")[4]
    options = c7n_handler.init_config(data)  # no part of c7n's public interface
    options.output_dir, options.log_group = "null://", "null"
    return options


def load_policies(data, options):
    """The function's policies. Importing a module that the deployment listed registers what is in it."""
    try:
        AWS.get_resource_types([policy["resource"] for policy in data["policies"]])
        for policy in data["policies"]:
            for name in policy["metadata"]["iam-guard"]["modules"]:
                __import__(name)  # import_module would hide it from -X importtime
        return PolicyCollection.from_data(data, options)
    except PolicyValidationError:
        # An action or filter for all kinds of resources, such as invoke-sfn: c7n loads more for those.
        load_resources(StructureParser().get_resource_types(data))
        return PolicyCollection.from_data(data, options)


def run(event, context):
    """Run the function's policies on an event from EventBridge, or on dead letters from SQS.

    :param event: any JSON value
    :param context: AWS Lambda's context object
    :returns: True if the policies decided on the event
    :raises Exception: if they did not. Lambda retries the event, and then dead-letters it
    """
    if letters := dead_letters(event):
        for letter in letters:
            run(letter, context)
        return True
    if not isinstance(event, dict) or not isinstance(event.get("detail", {}), dict):
        reason = "malformed: an event is an object with an object as detail"
        log.error(log_line("let-pass", event, reason=reason))  # a retry would not change that
        return True
    for policy in POLICIES:
        policy.push(event, context)
    return True


def dead_letters(event):
    """The events in a batch that SQS delivers from the function's own dead-letter queue; None if it is no batch.

    :raises ValueError: if another queue delivers it, whose messages may be forged. They stay in that queue.
    """
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list) or not records:
        return None
    if not all(isinstance(record, dict) and record.get("eventSource") == "aws:sqs" for record in records):
        return None
    own = {policy.data["mode"].get("dead_letter_config", {}).get("TargetArn") for policy in POLICIES}
    for record in records:
        if record.get("eventSourceARN") not in own:
            raise ValueError(f"{record.get('eventSourceARN')} is not this function's dead-letter queue")
    return [_parsed(record.get("body")) for record in records]


def _parsed(body):
    """A message's body as JSON. A body that is no JSON stays a text, which makes a malformed event."""
    with suppress(TypeError, ValueError):
        return json.loads(body)
    return body


POLICIES = prepare()

cold_start.end()
