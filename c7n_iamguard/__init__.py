"""Cloud Custodian plugin that revokes unintended IAM access. Importing it loads nothing of c7n or boto3.

An event's way, room by room: :mod:`.handler` takes it from Lambda, :mod:`.function.event_mode` finds who called,
:mod:`.admins` judges whether they are meant to, :mod:`.revoke.revoke` denies them IAM, :mod:`.decisions` logs it,
and :mod:`.notify.put_event` tells somebody.

- ``autoload``, ``plugin``: how c7n finds the plugin, and what it adds to c7n
- ``handler``, ``function/``: the Lambda's entry point; what is deployed, and how it runs
- ``event``, ``decisions``, ``settings``, ``errors``, ``aws_names``: facts that every room uses
- ``iam/``: clients, users and roles, policy documents, a whole account
- ``admins/``: who is meant to use IAM, and who was; the admin group
- ``revoke/``, ``notify/``: denying and giving back; telling
- ``history/``, ``contain/``: what the event path has missed; taking back what a call gave
"""

__version__ = "0.2.0"
