"""An AWS account in one process: for the demo, the end-to-end tests, and trying by hand. Never shipped in a Lambda.

It runs moto's server. Each folder adds to moto what the guard needs of one AWS service and moto lacks:

- ``access``: who calls, and whether policies of identities and resources, boundaries and SCPs allow it
- ``iam``, ``sts``: quotas, ids, pages, protected roles, sessions of all kinds, who last used which service
- ``cloudtrail``: records of IAM calls, and the event history
- ``events``: rules, schedules, custom buses, and what targets let in
- ``lambda_``: the uploaded code, run by AWS's own runtime client, and its log
- ``sqs``, ``sns``, ``cloudwatch``: dead-letter queues, mails, metrics, alarms
- ``organizations``, ``cloudformation``: accounts that join, SCPs, stacks with rollbacks, StackSets

``requests`` is a call's way through all of them, ``faults`` injects errors, and ``commands`` is what
``python -m sandbox`` runs.

What it does not do: the seconds that IAM takes to make a change act everywhere, EventBridge's delays and
retries, and any service but those that a test of the guard calls.

Importing the package makes the process forget its user's AWS settings, before c7n or moto see them: nothing
that runs on the sandbox can reach a real account by accident. And it has all clients of the process share what
botocore makes for each of them anew, which takes most of a client's time.
"""

import os

for name in list(os.environ):
    # A proxy would see the calls to the loopback address.
    if name.startswith("AWS_") or name.lower().endswith("_proxy"):
        del os.environ[name]
for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
    os.environ[name] = os.devnull

from sandbox import shared

shared.put_in_place()

from sandbox.server import Sandbox

__all__ = ["Sandbox"]
