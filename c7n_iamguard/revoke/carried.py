"""The guard's denial on users and roles, and the filter ``iam-access-revoked``: who carries one."""

from c7n.filters import Filter
from c7n.utils import type_schema

from c7n_iamguard import aws_names
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.authorization_details import has_details
from c7n_iamguard.iam.client import answer_or_none, iam, map_threaded
from c7n_iamguard.iam.managed_policies import document_of
from c7n_iamguard.iam.policy_documents import denies, is_own_document, withholds
from c7n_iamguard.settings import PolicyOption


def state_of(client, kind, name):
    """A principal and its policies, as ``authorization-details`` gives them; None if there is no such principal."""
    try:
        principal = kind.operation(client, "get_{}")(name)[kind.noun]
        attached = kind.attached_policies(client, name)
    except client.exceptions.NoSuchEntityException:
        return None
    inline = None
    if "inline" in kind.rungs:
        read = kind.operation(client, "get_{}_policy")
        inline = answer_or_none(read, name, PolicyName=aws_names.INLINE_POLICY)
    return {**principal, "AttachedManagedPolicies": attached, kind.inline: [inline] if inline else []}


def forms_in(state, kind, policy_arn, boundary_arn, holds=bool):
    """The forms of the guard's denial in a principal's ``state``, as :func:`state_of` returns it.

    The inline policy is one only if ``holds`` says yes to its document.
    """
    boundary = state.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    inline = {policy["PolicyName"]: policy["PolicyDocument"] for policy in state[kind.inline]}
    document = inline.get(aws_names.INLINE_POLICY)
    forms = {
        "managed": policy_arn in [policy["PolicyArn"] for policy in state["AttachedManagedPolicies"]],
        "inline": "inline" in kind.rungs and is_own_document(document) and holds(document),
        "boundary": boundary == boundary_arn,
    }
    return [form for form, is_there in forms.items() if is_there]


@principals.register("filter_registry", "iam-access-revoked")
class IAMAccessRevoked(PolicyOption, Filter):
    """Users or roles that carry the guard's denial, in any of its forms.

    A form counts only while it denies IAM: an attacker may have changed the document of the managed policy. The
    forms that count are in ``c7n:IAMAccessRevoked``:

    - ``managed``: the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` by default;
    - ``inline``: on users, the inline policy ``DenyIAM``, with a document that ``revoke-iam-access`` writes;
    - ``boundary``: the permissions boundary ``DenyIAMAccessBoundary``.

    If a principal's own boundary already denied IAM, nothing was set, and the principal does not match. A principal
    that does not exist does not match. An error of IAM ends the run.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-users-who-are-denied-iam
            resource: aws.iam-user
            source: authorization-details
            filters: [iam-access-revoked]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_UserDetail.html
    """

    schema = type_schema("iam-access-revoked", policy={"type": "string"})
    annotation = "c7n:IAMAccessRevoked"

    def get_permissions(self):
        """The rights to read one user or role, and the documents."""
        kind = principals.kind_of(self.manager)
        inline = ["iam:Get{}Policy"] if "inline" in kind.rungs else []
        own = kind.permissions("iam:Get{}", "iam:ListAttached{}Policies", *inline)
        return ["iam:GetPolicy", "iam:GetPolicyVersion", *own]

    def validate(self):
        """Check the policy's name."""
        self.check_policy_option()

    def process(self, resources, event=None):
        """The principals among ``resources`` that carry a denial that denies."""
        client, event = iam(self.manager), IAMEvent.of(event)
        carried = map_threaded(self, lambda principal: self.forms_on(client, principal), resources)
        documents = {"managed": (self.policy_arn, denies), "boundary": (self.boundary_arn, withholds)}
        denying, revoked = {"inline"}, []  # forms_on has read the inline policy
        for form in documents.keys() & {form for forms in carried for form in forms or ()}:
            arn, holds = documents[form]
            if holds(document_of(client, arn)):
                denying.add(form)
        for principal, forms in zip(resources, carried, strict=True):
            if forms is None and event is not None:
                event.gone = True
            annotation = [form for form in forms or () if form in denying]
            if annotation:
                principal[self.annotation] = annotation
                revoked.append(principal)
        return revoked

    def forms_on(self, client, principal):
        """The forms of the guard's denial that a principal carries; None if it does not exist."""
        kind = principals.kind_of(self.manager)
        details = has_details(self.manager, principal)
        state = principal if details else state_of(client, kind, principal[kind.name_key])
        return state and forms_in(state, kind, self.policy_arn, self.boundary_arn, denies)
