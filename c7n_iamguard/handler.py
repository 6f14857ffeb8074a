"""The Lambda's entry point.

Lambda imports this module in its init phase, at full CPU and before any event. So everything that can be done
before the first event is done here, once: the plugin and the policies' resources are loaded, the policies are
made and validated, the account is known, the clients are made and connected.
"""

from c7n_iamguard import cold_start

cold_start.begin()

import json
import logging
import os

with cold_start.without_time_zones():
    from c7n import handler as c7n_handler

from c7n.exceptions import PolicyValidationError
from c7n.manager import iter_filters
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
from c7n.resources.aws import AWS
from c7n.structure import StructureParser
from c7n.utils import format_event, local_session

from c7n_iamguard import errors
from c7n_iamguard.decisions import log_line
from c7n_iamguard.iam import client

log = logging.getLogger("c7n_iamguard")

CONFIG_FILE = "config.json"  # beside the code, which is where Lambda starts the function


def prepare():
    """Make the function's policies, and the clients that serve every event, and connect them.

    :returns: the policies, validated
    """
    logging.getLogger().setLevel(logging.INFO)  # c7n sets DEBUG, a dozen lines for every event
    errors.log_refusals_in_one_sentence()
    with open(CONFIG_FILE) as file:
        data = json.load(file)
    for policy in data["policies"]:
        policy["mode"].get("tags", {}).pop("custodian-info", None)  # c7n's own tag, which c7n would warn of
    policies = load_policies(data, options_of(data))
    for policy in policies:
        policy.validate()
        connect(policy)
        manager = policy.resource_manager
        for element in (*iter_filters(manager.filters), *manager.actions):
            if hasattr(element, "prepare"):
                element.prepare()
    return policies


def options_of(data):
    """c7n's options for the function, without the files that it would write to its own disk for every event.

    Nobody can read these files. Output to S3, and logs to a log group, stay if the policy asks for them.
    """
    options = data.setdefault("execution-options", {})
    # If these were missing, c7n would make a session and ask STS. The function's account is its role's.
    options["regions"] = [os.environ["AWS_REGION"]]
    options["account_id"] = data["policies"][0]["mode"]["role"].split(":")[4]
    # c7n's own handler builds its options with this function, which is no part of c7n's public interface.
    options = c7n_handler.init_config(data)
    if not options.output_dir.startswith("s3"):
        options.output_dir = "null://"
        options.log_group = options.log_group or "null"
    return options


def load_policies(data, options):
    """The function's policies, with the plugin's modules that they need.

    The deployment has written down which ones; importing a module registers what is in it.
    """
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


def connect(policy):
    """Make the IAM client that serves every event."""
    session = local_session(policy.session_factory)
    cold_start.list_services_by_folder(session)
    config = client.BULK_CONFIG if policy.execution_mode == "periodic" else client.CONFIG
    client.keep("iam", session.client("iam", config=config))


def run(event, context):
    """Run the function's policies on an event that EventBridge delivered, or on dead letters from SQS.

    :param event: any JSON value
    :param context: AWS Lambda's context object
    :returns: True if the event was decided on
    :raises Exception: if it was not, so that Lambda tries it again and then dead-letters it
    """
    letters = dead_letters(event)
    if letters is not None:
        for letter in letters:
            run(letter, context)
        return True
    if not isinstance(event, dict) or not isinstance(event.get("detail", {}), dict):
        # It names nobody who could have called anything; trying it again would not change that.
        log.error(
            log_line("let-pass", event, reason="malformed: an event is an object with an object as detail")
        )
        return True
    if c7n_handler.C7N_DEBUG_EVENT:
        event["debug"] = True
        log.info("Processing event\n %s", format_event(event))
    for policy in POLICIES:
        policy.push(event, context)
    return True


def dead_letters(event):
    """The events in a batch that SQS delivers from the function's own dead-letter queue.

    :returns: None if the event is no such batch
    :raises ValueError: if the batch is of another queue: whoever filled that one might frame somebody. Its
        messages stay where they are.
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
    """A message's body as JSON; the text itself if it is none, which makes a malformed event."""
    try:
        return json.loads(body)
    except (TypeError, ValueError):
        return body


POLICIES = prepare()

cold_start.end()
