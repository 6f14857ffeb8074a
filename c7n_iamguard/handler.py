"""The Lambda's entry point.

Lambda imports this module in its init phase, at full CPU and before any event. So everything that can be done
before the first event is done here, once: the plugin and the policies' resources are loaded, the policies are
made and validated, the account is known, the clients are made and connected.
"""

import gc

gc.disable()  # Objects made at start live as long as the function; collecting among them wastes 10% of the start.

import json
import logging
import os
from types import SimpleNamespace

from dateutil import zoneinfo

# c7n's filter for off-hours reads 600 time zones while it is imported, for their names in lower case. No policy on
# IAM uses that filter, and reading them takes a fifth of the start. It relies on dateutil's zone file alone.
get_zonefile_instance = zoneinfo.get_zonefile_instance
zoneinfo.get_zonefile_instance = lambda: SimpleNamespace(zones={})
try:
    from c7n import handler as c7n_handler
finally:
    zoneinfo.get_zonefile_instance = get_zonefile_instance

from c7n.exceptions import PolicyValidationError
from c7n.manager import iter_filters
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
from c7n.resources.aws import AWS
from c7n.structure import StructureParser
from c7n.utils import format_event, local_session

from c7n_iamguard.decisions import log_line
from c7n_iamguard.iam import client
from c7n_iamguard.settings import PINS

log = logging.getLogger("c7n_iamguard")

CONFIG_FILE = "config.json"  # beside the code, which is where Lambda starts the function


def prepare():
    """Make the function's policies, and the clients that serve every event, and connect them.

    :returns: the policies, validated
    """
    logging.getLogger().setLevel(logging.INFO)  # c7n sets DEBUG, a dozen lines for every event
    with open(CONFIG_FILE) as config:
        data = json.load(config)
    options = data.setdefault("execution-options", {})
    # If these were missing, c7n would make a session and ask STS. The function's account is its role's.
    options["regions"] = [os.environ["AWS_REGION"]]
    options["account_id"] = data["policies"][0]["mode"]["role"].split(":")[4]
    # c7n's own handler builds its options with this function, which is no part of c7n's public interface.
    config = without_local_files(c7n_handler.init_config(data))
    try:
        AWS.get_resource_types([policy["resource"] for policy in data["policies"]])
        register(data["policies"])
        policies = PolicyCollection.from_data(data, config)
    except PolicyValidationError:
        # An action or filter for all kinds of resources, such as invoke-sfn: c7n loads more for those.
        load_resources(StructureParser().get_resource_types(data))
        policies = PolicyCollection.from_data(data, config)
    for policy in policies:
        policy.validate()
        session = local_session(policy.session_factory)
        list_services_by_folder(session)
        config = client.BULK_CONFIG if policy.execution_mode == "periodic" else client.CONFIG
        iam = session.client("iam", config=config)
        client.keep("iam", iam)
        iam.get_paginator("list_groups_for_user")  # botocore reads how to page once, too
        manager = policy.resource_manager
        for element in (*iter_filters(manager.filters), *manager.actions):
            if hasattr(element, "prepare"):
                element.prepare()
    return policies


def register(policies):
    """Import the plugin's modules that the policies need, which registers what is in them.

    The deployment has written down which ones. The others would take a tenth of the start.
    """
    for policy in policies:
        for name in policy["metadata"][PINS]["modules"]:
            __import__(name)  # import_module would hide it from -X importtime


def list_services_by_folder(session):
    """Let botocore take the names of its folders for the services that there are.

    By default it looks into each of 440 folders, three times for a client, which takes a tenth of the start.
    """
    loader = session._session.get_component("data_loader")
    folders = [path for path in loader.search_paths if os.path.isdir(path)]
    loader.list_available_services = lambda type_name: [name for path in folders for name in os.listdir(path)]


def without_local_files(options):
    """c7n's options, without the files that it would write to the function's own disk for every event.

    Nobody can read them there. Output to S3, and logs to a log group, stay if the policy asks for them.
    """
    if not options.output_dir.startswith("s3"):
        options.output_dir = "null://"
        options.log_group = options.log_group or "null"
    return options


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

gc.freeze()
gc.enable()
