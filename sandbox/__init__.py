"""An AWS account in one process: for the demo, the end-to-end tests, and trying by hand. Never shipped in a Lambda.

It stands on moto's server, and adds what the guard relies on and moto lacks:

- requests: authorization of every call by the policies of identities and resources, permissions boundaries and
  service control policies (:mod:`.authorization`, :mod:`.conditions`); injected faults (:mod:`.faults`);
- IAM and STS: quotas, ids, pages, protected roles, sessions of all kinds, who last used which service
  (:mod:`.iam`, :mod:`.sessions`, :mod:`.iam_usage`);
- CloudTrail: records of IAM calls, and the event history of them (:mod:`.cloudtrail`, :mod:`.history`);
- EventBridge: rules and schedules, custom buses, and what targets let in (:mod:`.eventbridge`, :mod:`.inputs`);
- Lambda: the uploaded code, run by AWS's own runtime client, and its log (:mod:`.functions`,
  :mod:`.environments`, :mod:`.awslambda`);
- SQS, SNS, CloudWatch: dead-letter queues, mails, metrics, alarms (:mod:`.sqs`, :mod:`.sns`, :mod:`.alarms`);
- Organizations: SCPs that act where they are attached, and who may change one (:mod:`.delegation`);
- CloudFormation: the resources of all these, and rollbacks (:mod:`.stacks`, :mod:`.stack_resources`,
  :mod:`.stack_iam`);
- Organizations and StackSets: accounts that join, and what is deployed to them (:mod:`.organization`,
  :mod:`.stack_sets`).

What it does not do: the seconds that IAM takes to make a change act everywhere, EventBridge's delays and
retries, and any service but those that a test of the guard calls.

Importing the package makes the process forget its user's AWS settings, before c7n or moto see them: nothing
that runs on the sandbox can reach a real account by accident. And it has all sessions of the process share what
they read of AWS's descriptions of its services, because reading takes most of a session's time.
"""

import functools
import os

import botocore.session

for name in list(os.environ):
    # A proxy would see the calls to the loopback address.
    if name.startswith("AWS_") or name.lower().endswith("_proxy"):
        del os.environ[name]
for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
    os.environ[name] = os.devnull
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

from sandbox.server import Sandbox

__all__ = ["Sandbox"]
