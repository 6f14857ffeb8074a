"""What moto's event buses lack: policies as they were written, with all that a statement may say.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutPermission.html
"""

import json

from moto.events.models import EventBus


def patches():
    """The methods of moto that are replaced while a sandbox runs, as (class, name, replacement)."""
    return [
        (EventBus, "physical_resource_id", property(lambda self: self.name)),
        (EventBus, "policy", property(policy)),
        (EventBus, "add_policy", add_policy),
        (EventBus, "add_permission", add_permission),
    ]


def policy(self):
    """A bus's policy as JSON text; None where it has none."""
    statements = list(self._statements.values())
    return json.dumps({"Version": "2012-10-17", "Statement": statements}) if statements else None


def add_policy(self, policy):
    """A policy as a whole, in place of what there was."""
    statements = policy["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    self._statements = {s.get("Sid", f"statement-{n}"): s for n, s in enumerate(statements)}


def add_permission(self, statement_id, action, principal, condition):
    """One statement that allows, in place of one of the same id."""
    everybody = principal["AWS"].split(":")[4] == "*"
    self._statements[statement_id] = {
        "Sid": statement_id,
        "Effect": "Allow",
        "Principal": "*" if everybody else principal,
        "Action": action,
        "Resource": self.arn,
        **({"Condition": condition} if condition else {}),
    }
