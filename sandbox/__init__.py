"""An AWS account in one process, for the demo and the end-to-end tests. Never shipped in a Lambda.

It stands on moto's server, and adds what the guard relies on and moto lacks:

- authorization of every call: identity policies, groups, permissions boundaries, service control
  policies, with resources and the conditions that the guard's own policies use (:mod:`.authorization`);
- IAM's quotas per user, its pages, its habit of finding names without regard to case, and when users last
  used a service, which is made up from what a test says (:mod:`.iam`);
- CloudTrail records of IAM calls, and their way through EventBridge's rules (:mod:`.cloudtrail`);
- the deployed functions' uploaded code, run by AWS's own runtime client (:mod:`.functions`).

What it does not do: the seconds that IAM takes to make a change act everywhere, EventBridge's delays and
retries, and any service but those that a test of the guard calls.

Importing the package makes the process forget its user's AWS settings, before c7n or moto see them: nothing
that runs on the sandbox can reach a real account by accident.
"""

import os

for name in list(os.environ):
    # A proxy would see the calls to the loopback address.
    if name.startswith("AWS_") or name.lower().endswith("_proxy"):
        del os.environ[name]
for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
    os.environ[name] = os.devnull

from sandbox.server import Sandbox

__all__ = ["Sandbox"]
