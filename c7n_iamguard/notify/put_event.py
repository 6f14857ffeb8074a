"""Action ``put-event``: tells an EventBridge bus what was decided."""

import json
import re
import time
from contextlib import suppress
from functools import cached_property

from botocore.exceptions import BotoCoreError, ClientError
from c7n.actions import EventAction
from c7n.exceptions import PolicyExecutionError
from c7n.utils import chunks, type_schema

from c7n_iamguard.aws_names import BUS, SOURCE
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.client import CONFIG, answer_or_none, client_of, error_code, iam
from c7n_iamguard.iam.deciding_action import observes
from c7n_iamguard.notify.detail import Teller, describe, title
from c7n_iamguard.notify.repeats import Repeats
from c7n_iamguard.settings import is_unfinished, refuse

BUS_NAME = re.compile(r"[\w.-]{1,256}", re.ASCII)
BUS_ARN = re.compile(r"arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[\w.-]{1,256}", re.ASCII)
ALIAS = re.compile(r"[a-z0-9-]{3,63}", re.ASCII)

#: The most entries of one PutEvents request.
ENTRIES = 10
#: How often the action puts an entry that EventBridge refuses only for the moment, and the seconds in between.
TRIES, PAUSE = 3, 0.5
PASSING = ("InternalFailure", "ThrottlingException")
#: After so many seconds the action checks again whether there is the bus.
SECONDS = 60


@principals.register("action_registry", "put-event")
class PutEvent(EventAction):
    """Tells an EventBridge bus what the actions before it decided about each user or role.

    ``bus`` is the name or ARN of the bus, ``iam-guard`` by default. Each decision is one event with the source
    ``iam-guard``. Its ``detail-type`` says what was decided, such as ``IAM access revoked``. Its detail is a JSON
    object that ``deploy/iam-guard-event.schema.json`` describes.

    For 15 minutes after a denial, the function sends no event for further calls of the same user or role that
    failed. It always sends one for calls that succeeded, and for those that could take off the denial. It sends one
    event in 15 minutes for a user or role that is only observed, or cannot be denied.

    If the bus does not take an event, or does not exist, the run fails at the end, and Lambda tries it again. All
    denials stay.

    :example:

    .. code-block:: yaml

        policies:
          - name: revoke-iam-access-of-contractors
            resource: aws.iam-user
            max-resources: 20
            filters:
              - {type: value, key: Path, value: /contractors/}
              - not: [{type: admin-group-member, groups: [admins]}]
            actions:
              - {type: revoke-iam-access, bulk: true}
              - {type: put-event, bus: iam-guard}

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
    """

    schema = type_schema("put-event", bus={"type": "string"})
    permissions = ("events:PutEvents", "events:DescribeEventBus", "iam:ListAccountAliases")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.checked = self.problem = self.alias = None
        self.kind = principals.kind_of(self.manager)
        self.repeats = Repeats(self.kind)

    @property
    def bus(self):
        """The name or ARN of the event bus."""
        return self.data.get("bus", BUS)

    @property
    def late(self):
        """Whether the policy is a catch-up, which learns of calls from CloudTrail's event history."""
        return self.manager.ctx.policy.execution_mode == "periodic"

    def validate(self):
        """Check the bus's name or ARN."""
        policy, bus = self.manager.ctx.policy, self.bus
        if not (BUS_NAME.fullmatch(bus) or BUS_ARN.fullmatch(bus) or is_unfinished(policy, bus)):
            fix = "write iam-guard, or arn:aws:events:us-east-1:111122223333:event-bus/iam-guard"
            refuse(policy, "action:put-event bus", f"{bus!r} is neither an event bus's name nor its ARN", fix)

    @cached_property
    def client(self):
        """EventBridge's client. It is made when there is something to tell, so that no denial waits for it."""
        return client_of(self.manager, "events", CONFIG)

    def check_bus(self):
        """Ask for the account's alias, once, and whether there is the bus. After an error it is not known."""
        if self.alias is None:
            self.alias = ""
            with suppress(BotoCoreError, ClientError):
                aliases = iam(self.manager).list_account_aliases()["AccountAliases"]
                self.alias = next(filter(ALIAS.fullmatch, aliases), "")
        self.problem = None
        # AWS accepts events for a bus that does not exist, and drops them without a word.
        with suppress(BotoCoreError, ClientError):
            if answer_or_none(self.client.describe_event_bus, Name=self.bus) is None:
                self.problem = f"there is no event bus {self.bus}"
        self.checked = time.monotonic()

    def process(self, resources, event=None):
        """Send an event for every decision, and return a record of each: name, ``detail-type`` and event's id."""
        event = IAMEvent.of(event)
        decided = [principal for principal in resources if title(principal, self.late)]
        news = [principal for principal in decided if not self.repeats.is_repeat(principal, event)]
        if not news:
            return []
        if self.problem or self.checked is None or time.monotonic() - self.checked >= SECONDS:
            self.check_bus()
        if self.problem:
            self.fail(len(news), f"{self.problem}; deploy the stack that makes it, or name another under bus")
        answers = [answer for batch in chunks(news, ENTRIES) for answer in self.put(batch, event)]
        records, errors = [], []
        for principal, answer in zip(news, answers, strict=True):
            if answer.get("ErrorCode"):
                errors.append(f"{answer['ErrorCode']}: {answer.get('ErrorMessage')}")
                continue
            self.repeats.remember(principal, event)
            name = {self.kind.name_key: principal[self.kind.name_key]}
            records.append({**name, "detail-type": title(principal, self.late), "event": answer["EventId"]})
        if errors:
            self.fail(len(errors), f"the first error is {errors[0]}")
        return records

    def fail(self, count, problem):
        """Raise the error for decisions without an event."""
        raise PolicyExecutionError(
            f"policy:{self.manager.ctx.policy.name} could not tell the event bus {self.bus} of {count} decisions: "
            f"{problem}"
        )

    def put(self, batch, event):
        """EventBridge's answers to the events of up to ten principals, with an ``ErrorCode`` if it refused one."""
        entries, answers = [self.entry(principal, event) for principal in batch], {}
        left = list(range(len(batch)))
        for attempt in range(TRIES):
            time.sleep(attempt * PAUSE)
            try:
                answer = self.client.put_events(Entries=[entries[n] for n in left])
                answers |= zip(left, answer["Entries"], strict=True)
            except (BotoCoreError, ClientError) as error:  # botocore has tried again by itself
                code = error_code(error) if isinstance(error, ClientError) else type(error).__name__
                refusal = {"ErrorCode": code, "ErrorMessage": str(error)}
                answers |= dict.fromkeys(left, refusal)
                break
            left = [n for n in left if answers[n].get("ErrorCode") in PASSING]
            if not left:
                break
        return [answers[n] for n in range(len(batch))]

    def entry(self, principal, event):
        """The event about a principal, as PutEvents takes it."""
        policy, config = self.manager.ctx.policy, self.manager.config
        teller = Teller(
            policy=policy.name,
            account=config.account_id,
            region=config.region,
            alias=self.alias,
            runbook=(policy.data.get("metadata") or {}).get("runbook"),
            observes=observes(self.manager),
            late=self.late,
        )
        detail = describe(principal, self.kind, event, teller)
        return {
            "Source": SOURCE,
            "DetailType": title(principal, self.late),
            "Detail": json.dumps(detail, ensure_ascii=False),
            "Resources": [arn] if (arn := detail["principal"]["arn"]) else [],
            "EventBusName": self.bus,
        }
