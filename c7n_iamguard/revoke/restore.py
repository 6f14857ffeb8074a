"""Giving IAM back: who carries the guard's denial (a filter), and taking it off (an action)."""

from c7n.exceptions import PolicyExecutionError
from c7n.filters import Filter
from c7n.utils import type_schema

from c7n_iamguard import aws_names
from c7n_iamguard.aws_names import REQUEST_TAG, RESTORED_TAG
from c7n_iamguard.event import IAMEvent, time_text
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.actions import DecidingAction
from c7n_iamguard.iam.authorization_details import has_details
from c7n_iamguard.iam.client import iam, map_threaded, retry_conflicts
from c7n_iamguard.iam.policy_documents import is_own_document
from c7n_iamguard.settings import PolicyOption, refuse


def state_of(client, kind, name):
    """What a principal carries of what :func:`forms_in` looks at, as ``authorization-details`` gives it.

    :returns: None if there is no such principal
    :raises botocore.exceptions.ClientError: whatever else IAM answers
    """
    principal = kind.by_name(client, name)
    if principal is None:
        return None
    try:
        pages = kind.pages(client, "list_attached_{}_policies", name)
        attached = [policy for page in pages for policy in page["AttachedPolicies"]]
    except client.exceptions.NoSuchEntityException:
        return None
    inline = []
    if "inline" in kind.rungs:
        call = kind.operation(client, "get_{}_policy")
        policy = retry_conflicts(
            call, name, PolicyName=aws_names.INLINE_POLICY, ignore_err_codes=("NoSuchEntity",)
        )
        inline = [policy] if policy else []
    return {**principal, "AttachedManagedPolicies": attached, kind.inline: inline}


def forms_in(state, kind, policy_arn, boundary_arn):
    """The forms of the guard's denial that a principal carries.

    :param state: the principal as ``authorization-details`` or :func:`state_of` gives it
    """
    boundary = state.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    inline = {policy["PolicyName"]: policy["PolicyDocument"] for policy in state[kind.inline]}
    forms = {
        "managed": policy_arn in [policy["PolicyArn"] for policy in state["AttachedManagedPolicies"]],
        "inline": "inline" in kind.rungs and is_own_document(inline.get(aws_names.INLINE_POLICY)),
        "boundary": boundary == boundary_arn,
    }
    return [form for form, is_there in forms.items() if is_there]


@principals.register("filter_registry", "iam-access-revoked")
class IAMAccessRevoked(PolicyOption, Filter):
    """Users or roles that carry the guard's denial, in any of its forms.

    The forms found are in ``c7n:IAMAccessRevoked``:

    - ``managed``: the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` by default;
    - ``inline``: on users, the inline policy ``DenyIAM``, with a document that ``revoke-iam-access`` writes;
    - ``boundary``: the permissions boundary ``DenyIAMAccessBoundary``.

    If a principal's own boundary already denied IAM, nothing was set, and the principal does not match. An
    error of IAM ends the run with that error. A principal that does not exist does not match.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-users-who-are-denied-iam
            resource: aws.iam-user
            source: authorization-details
            filters:
              - iam-access-revoked

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_UserDetail.html
    """

    schema = type_schema("iam-access-revoked", policy={"type": "string"})
    annotation = "c7n:IAMAccessRevoked"

    def get_permissions(self):
        """What looking at one user or role takes."""
        kind = principals.kind_of(self.manager)
        inline = ["iam:Get{}Policy"] if "inline" in kind.rungs else []
        return kind.permissions("iam:Get{}", "iam:ListAttached{}Policies", *inline)

    def validate(self):
        """Check the policy's name.

        :raises PolicyValidationError: naming the policy, the key and the fix
        """
        self.check_policy_option()

    def process(self, resources, event=None):
        """The principals among ``resources`` that carry the denial.

        :raises botocore.exceptions.ClientError: whatever IAM answers, but that a principal does not exist
        """
        client, kind, event = iam(self.manager), principals.kind_of(self.manager), IAMEvent.of(event)

        def carried(principal):
            details = has_details(self.manager, principal)
            state = principal if details else state_of(client, kind, principal[kind.name_key])
            return state and forms_in(state, kind, self.policy_arn, self.boundary_arn)

        revoked = []
        for principal, forms in zip(resources, map_threaded(self, carried, resources), strict=True):
            if forms is None and event is not None:
                event.gone = True
            elif forms:
                principal[self.annotation] = forms
                revoked.append(principal)
        return revoked


@principals.register("action_registry", "restore-iam-access")
class RestoreIAMAccess(DecidingAction):
    """Takes off users or roles what ``revoke-iam-access`` puts on, in all its forms, and nothing else.

    - the permissions boundary ``DenyIAMAccessBoundary``;
    - the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` by default;
    - the inline policy ``DenyIAM``, if its document is one that ``revoke-iam-access`` writes. Another document
      stays; its user is still denied IAM, so the run fails in the end.

    The action looks at each principal right before. It leaves the time as the tag ``iam-guard-restored``, and
    then removes the tag ``iam-guard``, which asks for a restoration. It is no failure if something is gone already,
    and repeating it changes nothing. Every principal is tried; if one of them failed, the run fails in the end.

    Only a person restores: the action requires mode ``pull``.

    :example:

    .. code-block:: yaml

        policies:
          - name: restore-iam-access-of-contractors
            resource: aws.iam-user
            source: authorization-details
            filters:
              - type: value
                key: Path
                value: /contractors/
              - iam-access-revoked
            actions:
              - restore-iam-access

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachUserPolicy.html
    """

    schema = type_schema("restore-iam-access", policy={"type": "string"})

    def get_permissions(self):
        """What restoring users, or roles, takes."""
        inline = ["iam:Get{}Policy", "iam:Delete{}Policy"] if "inline" in self.kind.rungs else []
        templates = [
            "iam:Get{}",
            "iam:ListAttached{}Policies",
            "iam:Detach{}Policy",
            "iam:Tag{}",
            "iam:Untag{}",
        ]
        return self.kind.permissions(*templates, "iam:Delete{}PermissionsBoundary", *inline)

    def validate(self):
        """Check the policy's name, and that somebody runs this by hand.

        :raises PolicyValidationError: naming the policy, the key and the fix
        """
        self.check_policy_option()
        policy = self.manager.ctx.policy
        if policy.execution_mode != "pull":
            refuse(
                policy,
                "mode.type",
                f"restore-iam-access would undo revocations by itself in mode {policy.execution_mode}, and "
                "joining the admin group must not undo a revocation",
                "use mode pull, and run the policy by hand",
            )

    def process(self, resources, event=None):
        """Give every principal in ``resources`` back what a revocation took.

        :returns: a record per principal: its name and the forms that were taken off
        :raises PolicyExecutionError: if one of them could not be restored, after all were tried
        """
        client = iam(self.manager)
        return self.try_all(
            resources, lambda principal: self.try_to_restore(client, principal), "give IAM back to"
        )

    def try_to_restore(self, client, principal):
        """Take the guard's denial off one principal, and log what came of it.

        :returns: the record for Custodian's output; None if the principal is gone; the error if it failed
        """
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
        """Take off all forms of the guard's denial, and the tag that asked for it.

        :param state: what the principal carries, as :func:`state_of` tells it
        :param restored: a list that is told of every form that was taken off
        :raises PolicyExecutionError: if an inline policy stays that is not the guard's
        """
        forms = forms_in(state, self.kind, self.policy_arn, self.boundary_arn)
        if forms:
            self.change(client, "tag_{}", name, Tags=[{"Key": RESTORED_TAG, "Value": time_text()}])
        for form in ("boundary", "managed", "inline"):
            if form in forms:
                self.take_off(client, name, form)
                restored.append(form)
        if "inline" not in forms and state[self.kind.inline]:
            raise PolicyExecutionError(
                f"the inline policy {aws_names.INLINE_POLICY} of {name} is not the guard's, and still denies "
                "IAM: read it, and delete it by hand"
            )
        # Users' tag keys have no case.
        requests = [tag["Key"] for tag in state.get("Tags", ()) if tag["Key"].lower() == REQUEST_TAG]
        if requests:
            self.change(client, "untag_{}", name, TagKeys=requests)

    def take_off(self, client, name, form):
        """Take off one form of the denial; one that is gone already is no failure."""
        if form == "boundary":
            self.change(client, "delete_{}_permissions_boundary", name)
        elif form == "managed":
            self.change(client, "detach_{}_policy", name, PolicyArn=self.policy_arn)
        else:
            self.change(client, "delete_{}_policy", name, PolicyName=aws_names.INLINE_POLICY)

    def change(self, client, template, name, **parameters):
        """Make a call that changes the principal, again if something else changes it at the same time."""
        call = self.kind.operation(client, template)
        retry_conflicts(call, name, **parameters, ignore_err_codes=("NoSuchEntity",))
