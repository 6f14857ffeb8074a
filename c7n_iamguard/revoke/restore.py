"""Action ``restore-iam-access``: gives IAM back."""

from functools import partial

from c7n.exceptions import PolicyExecutionError
from c7n.utils import type_schema

from c7n_iamguard.aws_names import INLINE_POLICY, REQUEST_TAG, RESTORED_TAG
from c7n_iamguard.event import time_text
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.client import answer_or_none, iam
from c7n_iamguard.iam.deciding_action import DecidingAction
from c7n_iamguard.revoke.carried import forms_in, state_of
from c7n_iamguard.settings import refuse


@principals.register("action_registry", "restore-iam-access")
class RestoreIAMAccess(DecidingAction):
    """Takes off users or roles what ``revoke-iam-access`` puts on, in all its forms, and nothing else.

    - the permissions boundary ``DenyIAMAccessBoundary``;
    - the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` by default;
    - the inline policy ``DenyIAM``, if its document is one that ``revoke-iam-access`` writes. Another document
      stays; its user is still denied IAM, so the run fails in the end.

    The action reads each principal anew. It leaves the time as the tag ``iam-guard-restored``, and then removes the
    tag ``iam-guard``, which asks for a restoration. What is gone already is no failure, and repeating the action
    changes nothing. Every principal is tried; if one of them failed, the run fails in the end.

    Only a person restores: the action requires mode ``pull``.

    :example:

    .. code-block:: yaml

        policies:
          - name: restore-iam-access-of-contractors
            resource: aws.iam-user
            source: authorization-details
            filters:
              - {type: value, key: Path, value: /contractors/}
              - iam-access-revoked
            actions: [restore-iam-access]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachUserPolicy.html
    """

    schema = type_schema("restore-iam-access", policy={"type": "string"})

    def get_permissions(self):
        """The rights to restore users, or roles."""
        inline = ["iam:Get{}Policy", "iam:Delete{}Policy"] if "inline" in self.kind.rungs else []
        templates = ("iam:Get{}", "iam:ListAttached{}Policies", "iam:Detach{}Policy", "iam:Tag{}", *inline)
        return self.kind.permissions(*templates, "iam:Untag{}", "iam:Delete{}PermissionsBoundary")

    def validate(self):
        """Check the policy's name, and that a person runs the policy."""
        self.check_policy_option()
        policy = self.manager.ctx.policy
        if policy.execution_mode != "pull":
            problem = (
                f"restore-iam-access would undo revocations by itself in mode {policy.execution_mode}, and "
                "joining the admin group must not undo a revocation"
            )
            refuse(policy, "mode.type", problem, "use mode pull, and run the policy by hand")

    def process(self, resources, event=None):
        """Give IAM back to every principal, and return a record of each: its name and the forms taken off."""
        client = iam(self.manager)
        return self.try_all(resources, partial(self.try_to_restore, client), "give IAM back to")

    def try_to_restore(self, client, principal):
        """Take the guard's denial off one principal, and log what came of it."""
        name, id_key, restored = principal[self.kind.name_key], self.kind.id_key, []
        try:
            state = state_of(client, self.kind, name)
            if state is None or state[id_key] != principal.get(id_key, state[id_key]):
                reason = f"the {self.kind.name} does not exist any more"
                self.record_decision("let-pass", principal, None, reason=reason)
                return None
            self.restore(client, name, state, restored)
        except Exception as error:
            self.record_decision("failed", principal, None, reason=str(error), restored=restored)
            return error
        if restored:
            self.record_decision("restored", principal, None, restored=restored)
        else:
            self.record_decision("let-pass", principal, None, reason="carries no denial of the guard's")
        return {self.kind.name_key: name, "restored": restored}

    def restore(self, client, name, state, restored):
        """Take off all forms of the guard's denial, adding each to ``restored``, and the tag that asked for it."""
        forms = forms_in(state, self.kind, self.policy_arn, self.boundary_arn)
        if forms:
            self.change(client, "tag_{}", name, Tags=[{"Key": RESTORED_TAG, "Value": time_text()}])
        calls = {
            "boundary": ("delete_{}_permissions_boundary", {}),
            "managed": ("detach_{}_policy", {"PolicyArn": self.policy_arn}),
            "inline": ("delete_{}_policy", {"PolicyName": INLINE_POLICY}),
        }
        for form, (template, parameters) in calls.items():
            if form in forms:
                self.change(client, template, name, **parameters)
                restored.append(form)
        if "inline" not in forms and state[self.kind.inline]:
            raise PolicyExecutionError(
                f"the inline policy {INLINE_POLICY} of {name} is not the guard's, and still denies "
                "IAM: read it, and delete it by hand"
            )
        # Users' tag keys have no case.
        requests = [tag["Key"] for tag in state.get("Tags", ()) if tag["Key"].lower() == REQUEST_TAG]
        if requests:
            self.change(client, "untag_{}", name, TagKeys=requests)

    def change(self, client, template, name, **parameters):
        """Make a call that changes the principal. What is gone already is no failure."""
        answer_or_none(self.kind.operation(client, template), name, **parameters)
