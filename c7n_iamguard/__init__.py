"""Cloud Custodian plugin that revokes unintended IAM access. Importing it loads nothing of c7n or boto3.

An event's way. In between, the policy's YAML says which filters and actions run:

1. ``handler`` gets it from Lambda, and ``event`` reads who called
2. ``function.event_mode`` checks its account and caller, and runs the policy on the caller
3. ``admins.filters`` asks ``admins.groups`` who is a member now, and ``admins.judge`` decides
4. ``revoke.revoke`` denies IAM by ``revoke.ladder``: if a quota is full, by the next rung
5. ``iam.deciding_action`` logs the decision (``decisions`` has its form), and ``notify.put_event`` tells somebody

The rest:

- hourly: ``history.catch_up`` by ``.past``, ``.lookup_events`` and ``admins.membership`` (who was an admin then)
- settings: ``admins.options`` checks who is meant to use IAM; ``settings`` raises the errors
- refusals: ``function.checks`` at validation, ``function.deployment`` and ``.changes`` at deployment
- taking a call back: ``contain.action`` carries out what ``contain.undoable`` plans
- giving IAM back: ``revoke.restore``; who carries a denial: ``revoke.carried``
- the admin group: ``admins.protect_group``, ``admins.remove_from_group``
- ``iam/``: clients, users and roles, documents, a whole account; ``autoload``, ``plugin``: how c7n finds the plugin
"""

__version__ = "0.3.0"
