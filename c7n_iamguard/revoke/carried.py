"""The guard's denial on users and roles, and the filter ``iam-access-revoked``: who carries one."""

from c7n.filters import Filter
from c7n.utils import type_schema

from c7n_iamguard import aws_names
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.authorization_details import has_details
from c7n_iamguard.iam.client import iam, map_threaded, retry_conflicts
from c7n_iamguard.iam.managed_policies import document_of
from c7n_iamguard.iam.policy_documents import denies, is_own_document, withholds
from c7n_iamguard.settings import PolicyOption


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

    A form counts only while it denies IAM: somebody may have changed the document of the managed policy. The forms
    found are in ``c7n:IAMAccessRevoked``:

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
        own = kind.permissions("iam:Get{}", "iam:ListAttached{}Policies", *inline)
        return ["iam:GetPolicy", "iam:GetPolicyVersion", *own]

    def validate(self):
        """Check the policy's name.

        :raises PolicyValidationError: naming the policy, the key and the fix
        """
        self.check_policy_option()

    def process(self, resources, event=None):
        """The principals among ``resources`` that carry a denial that denies.

        :raises botocore.exceptions.ClientError: whatever IAM answers, but that a principal does not exist
        """
        client, event = iam(self.manager), IAMEvent.of(event)
        carried = map_threaded(self, lambda principal: self.forms_on(client, principal), resources)
        holding, revoked = self.forms_that_deny(client, carried), []
        for principal, forms in zip(resources, carried, strict=True):
            if forms is None and event is not None:
                event.gone = True
            denying = [form for form in forms or () if form in holding]
            if denying:
                principal[self.annotation] = denying
                revoked.append(principal)
        return revoked

    def forms_on(self, client, principal):
        """The forms of the guard's denial that a principal carries; None if it does not exist."""
        kind = principals.kind_of(self.manager)
        details = has_details(self.manager, principal)
        state = principal if details else state_of(client, kind, principal[kind.name_key])
        return state and forms_in(state, kind, self.policy_arn, self.boundary_arn)

    def forms_that_deny(self, client, carried):
        """The forms among those that anybody carries whose documents deny IAM as of now."""
        documents = {"managed": (self.policy_arn, denies), "boundary": (self.boundary_arn, withholds)}
        forms = {form for forms in carried for form in forms or ()}
        return {
            f for f in forms if f not in documents or documents[f][1](document_of(client, documents[f][0]))
        }
