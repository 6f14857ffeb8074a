"""An addition to moto's event buses: a bus with rules cannot be deleted.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DeleteEventBus.html
"""

from moto.events.exceptions import ValidationException
from moto.events.models import EventBus, EventsBackend, events_backends

from sandbox.replacements import REPLACEMENTS, replaces

REPLACEMENTS.append((EventBus, "physical_resource_id", property(lambda self: self.name)))


@replaces(EventsBackend)
def delete_event_bus(self, name):
    if name != "default" and name in self.event_buses and self.event_buses[name].rules:
        raise ValidationException("EventBus can't be deleted since it has rules.")
    delete_event_bus.original(self, name)


@replaces(EventBus, "delete")
def delete_from_stack(self, account_id, region_name):
    """Delete a stack's bus, which fails as long as it has rules of others."""
    events_backends[account_id][region_name].delete_event_bus(self.name)
