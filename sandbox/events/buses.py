"""What moto's event buses lack: policies as they were written, and that a bus with rules cannot be deleted.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutPermission.html
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DeleteEventBus.html
"""

import json

from moto.events.exceptions import ValidationException
from moto.events.models import EventBus, EventsBackend, events_backends

from sandbox.replacements import REPLACEMENTS, replaces

REPLACEMENTS.append((EventBus, "physical_resource_id", property(lambda self: self.name)))


@replaces(EventBus)
def policy(self):
    """The policy of a bus as JSON text; None if it has none."""
    statements = list(self._statements.values())
    return json.dumps({"Version": "2012-10-17", "Statement": statements}) if statements else None


@replaces(EventBus)
def add_policy(self, policy):
    """Replace the whole policy."""
    statements = policy["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    self._statements = {s.get("Sid", f"statement-{n}"): s for n, s in enumerate(statements)}


@replaces(EventBus)
def add_permission(self, statement_id, action, principal, condition):
    """Add a statement that allows, or replace the one of the same id."""
    everybody = principal["AWS"].split(":")[4] == "*"
    self._statements[statement_id] = {
        "Sid": statement_id,
        "Effect": "Allow",
        "Principal": "*" if everybody else principal,
        "Action": action,
        "Resource": self.arn,
        **({"Condition": condition} if condition else {}),
    }


@replaces(EventsBackend)
def delete_event_bus(self, name):
    """Delete a bus without rules."""
    if name != "default" and name in self.event_buses and self.event_buses[name].rules:
        raise ValidationException("EventBus can't be deleted since it has rules.")
    delete_event_bus.original(self, name)


@replaces(EventBus, "delete")
def delete_from_stack(self, account_id, region_name):
    """Delete a stack's bus, which fails as long as it has rules of others."""
    events_backends[account_id][region_name].delete_event_bus(self.name)
