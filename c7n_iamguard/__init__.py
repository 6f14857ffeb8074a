"""Cloud Custodian plugin that revokes unintended IAM access. Importing it loads nothing of c7n or boto3.

The rooms; docs/how-it-works.md tells the way of an event through them:

- an event: ``handler`` gets it from Lambda, ``event`` reads who called, ``function.event_mode`` runs the policy
- who is meant: ``admins.filters`` asks ``admins.groups`` who is a member now, and ``admins.judge`` decides
- the denial: ``revoke.revoke`` by ``revoke.ladder``; the decision: ``iam.deciding_action``, ``decisions``
- telling: ``notify.put_event``
- hourly: ``history.catch_up`` by ``.past``, ``.lookup_events`` and ``admins.membership`` (who was an admin then)
- settings: ``admins.options`` checks who is meant to use IAM; ``settings`` raises the errors
- refusals: ``function.checks`` at validation, ``function.deployment`` and ``.changes`` at deployment
- taking a call back: ``contain.action`` carries out what ``contain.undoable`` plans
- giving IAM back: ``revoke.restore``; who carries a denial: ``revoke.carried``
- the admin group: ``admins.protect_group``, ``admins.remove_from_group``
- ``iam/``: clients, users and roles, documents, a whole account; ``autoload``, ``plugin``: how c7n finds the plugin
"""

__version__ = "0.3.0"
