"""What happens when a policy of the guard is deployed, whatever invokes its function."""

import json
import logging
from contextlib import contextmanager

from botocore.exceptions import ClientError, NoCredentialsError
from c7n.utils import get_partition

from c7n_iamguard import __version__, settings
from c7n_iamguard.aws_names import FUNCTION_ROLES, IAM_REGIONS, OBSERVED, OBSERVES_TAG, SINCE_TAG, VERSION_TAG
from c7n_iamguard.errors import Refusal, logged_once
from c7n_iamguard.event import time_text
from c7n_iamguard.function import changes
from c7n_iamguard.function.defaults import fill_in, function_name, is_guards, parts_of
from c7n_iamguard.iam.client import client_of, error_code
from c7n_iamguard.iam.deciding_action import observes
from c7n_iamguard.iam.principals import ROLE, kind_of

log = logging.getLogger("c7n_iamguard")


class GuardedFunction:
    """A mode whose function runs the plugin's handler, for policies of the guard. A mixin for c7n's modes."""

    def __init__(self, policy):
        super().__init__(policy)
        if self.guarded:
            fill_in(policy)

    @property
    def guarded(self):
        """Whether the policy is the guard's."""
        return is_guards(self.policy)

    @property
    def policy_lambda(self):
        """What c7n deploys the function as: with bytecode, if it is guarded."""
        # It loads c7n.mu, which functions do not need.
        from c7n_iamguard.function.archive import CompiledPolicyLambda

        return CompiledPolicyLambda if self.guarded else super().policy_lambda

    def provision(self):
        """Deploy the policy's function; if it is guarded, with the ids of the admins that it has to know.

        :raises c7n_iamguard.errors.Refusal: if nobody in the account would be an admin, the region gets no IAM
            events, or what the function needs is not there
        :raises botocore.exceptions.ClientError: whatever else AWS answers
        """
        if not self.guarded:
            return super().provision()
        with self.foreseeing():
            summary, warnings = self.prepare()
            for warning in warnings:
                log.warning("%s: %s", function_name(self.policy), warning)
            self.say_what_stays_with_the_command()
            function = super().provision()
        log.info(summary)
        return function

    def preview(self):
        """What a deployment would say about the policy's function, without one: its line, and warnings.

        :raises c7n_iamguard.errors.Refusal: as :meth:`provision` does
        """
        with self.foreseeing():
            return self.prepare()

    @contextmanager
    def foreseeing(self):
        """Word the errors of AWS that whoever deploys can do something about."""
        try:
            with logged_once():
                yield
        except (ClientError, NoCredentialsError) as error:
            problem = foreseen(self.policy, error)
            if problem is None:
                raise
            raise Refusal(f"policy:{self.policy.name}: {problem}") from error

    def prepare(self):
        """Put into the policy what its function has to know.

        :returns: what the function will do, in one line, and a list of warnings
        """
        self.check_region()
        policy = self.policy
        tags, before = self.deployed_function()
        observing = observes(policy.resource_manager)
        pins, warnings = changes.pins_for(policy, before)
        summary = changes.summary(policy, function_name(policy), observing, tags, pins)
        changes.write(policy, pins)
        self.leave_out_own_calls(pins["roles"])
        policy.data.setdefault("metadata", {})["iam-guard"] = {"modules": self.own_modules()}
        own = policy.data["mode"].setdefault("tags", {})
        own |= {VERSION_TAG: __version__, OBSERVES_TAG: "yes" if observing else "no"}
        if policy.execution_mode == "periodic":
            own[SINCE_TAG] = self.judged_since(tags.get(SINCE_TAG))
        dead = self.dead_rule() if tags else None
        return summary, [*([dead] if dead else []), *warnings]

    def say_what_stays_with_the_command(self):
        """Say so if Custodian was asked for metrics, logs, tracing or output that the function does not get."""
        options = self.policy.options
        asked = {"--metrics": options.metrics_enabled, "--log-group": options.log_group}
        asked |= {
            "--output-dir": "://" in (options.output_dir or ""),
            "--trace": options.tracer not in ("", None, "default"),
        }
        given = [option for option, value in asked.items() if value]
        if given:
            log.info(
                "%s runs without %s, which stay with this command",
                function_name(self.policy),
                ", ".join(given),
            )

    def own_modules(self):
        """The modules of the plugin that the policy's function has to import, and no others at a cold start."""
        modules = {type(part).__module__ for part in (self, *parts_of(self.policy))}
        return sorted(module for module in modules if module.startswith("c7n_iamguard."))

    def check_region(self):
        """Refuse to deploy where the function would never be invoked.

        :raises c7n_iamguard.errors.Refusal: naming the right region
        """
        region = self.policy.options.region
        partition = get_partition(region)
        right = IAM_REGIONS.get(partition)
        if right is None:
            problem = f"nobody knows which region of the partition {partition} gets IAM's events"
            raise Refusal(f"policy:{self.policy.name} region: {problem}")
        if region != right:
            raise Refusal(
                f"policy:{self.policy.name} region: IAM's events do not reach {region}, so the function would "
                f"see nothing; deploy it with -r {right}"
            )

    def leave_out_own_calls(self, roles):
        """Keep the calls of the guard's own functions from a rule on roles.

        By the roles' ids: a rule that left out a name would miss whoever takes that name.

        :param roles: the pinned roles' ids, by name
        """
        own = [roles[name] for name in FUNCTION_ROLES if name in roles]
        if own and self.policy.execution_mode == "cloudtrail":
            place = self.policy.data["mode"]["pattern"]
            for key in ("detail", "userIdentity", "sessionContext", "sessionIssuer"):
                place = place.setdefault(key, {})
            place["principalId"] = [{"exists": False}, {"anything-but": own}]

    def deployed_function(self):
        """The tags and the pins of the function that is deployed now; none if there is no such function.

        :raises botocore.exceptions.ClientError: whatever Lambda answers
        """
        client = client_of(self.policy.resource_manager, "lambda")
        try:
            answer = client.get_function(FunctionName=function_name(self.policy))
        except client.exceptions.ResourceNotFoundException:
            return {}, None
        environment = answer["Configuration"].get("Environment", {})
        for part, right in (
            (environment.get("Error"), "kms:Decrypt"),
            (answer.get("TagsError"), "lambda:ListTags"),
        ):
            if part:  # what the deployed function knows would be forgotten
                problem = f"Lambda does not show all of the deployed function: {part.get('Message', part)}"
                raise Refusal(f"policy:{self.policy.name}: {problem}; whoever deploys needs {right}")
        variables = environment.get("Variables", {})
        return answer.get("Tags", {}), json.loads(variables.get(settings.PINS, "null"))

    def judged_since(self, mark):
        """Since when a catch-up judges calls: since it was first deployed, or since it stopped to observe.

        :param mark: the mark of the function that is deployed now; None if there is none
        """
        now = time_text()
        if mark and mark.removesuffix(OBSERVED) > now:
            mark = None  # nobody judges from the future on
        if observes(self.policy.resource_manager):
            return (mark or now).removesuffix(OBSERVED) + OBSERVED
        return now if mark is None or mark.endswith(OBSERVED) else mark

    def dead_rule(self):
        """A warning if nothing has invoked the function that is deployed now; deploying it puts that right."""
        client, name = client_of(self.policy.resource_manager, "events"), function_name(self.policy)
        try:
            state = client.describe_rule(Name=name)["State"]
            targets = client.list_targets_by_rule(Rule=name)["Targets"]
        except client.exceptions.ResourceNotFoundException:
            state, targets = "deleted", []
        problem = "has no target" if targets == [] else None
        if state in ("DISABLED", "deleted"):
            problem = f"is {state.lower()}"
        return problem and (
            f"its rule {problem}, so nothing has invoked the function for some time; a deployment enables it "
            "again, and the catch-up judges what was missed"
        )


#: What AWS answers if whoever deploys lacks valid credentials.
BAD_CREDENTIALS = (
    "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
    "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure",
)  # fmt: skip
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
THROTTLED = ("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded")


def foreseen(policy, error):
    """What is wrong if AWS refuses a deployment, and the fix, as a sentence; None for an error of another kind."""
    if isinstance(error, NoCredentialsError):
        return "there are no AWS credentials; set AWS_PROFILE, or whatever else your AWS CLI finds them by"
    code, said = error_code(error), error.response["Error"].get("Message", "").rstrip(".")
    call = f"{error.operation_name} answered {code}: {said}"
    if code in BAD_CREDENTIALS:
        return f"{call}. Sign in again, and run this again"
    if code in DENIED:
        return f"{call}. Get that right, such as by deploy/access.yml, and run this again to complete what is there"
    if code in THROTTLED:
        return f"{call}. Run this again: it completes what is there"
    if code != "InvalidParameterValueException":
        return None
    if "role" not in said.lower():
        return f"Lambda does not take the function: {said}"
    role = policy.data["mode"]["role"].rpartition("/")[2]
    template = "contain.yml" if role == FUNCTION_ROLES[1] else "account.yml"
    if template == "account.yml" and kind_of(policy.resource_manager) is ROLE:
        template += " with Roles=yes"
    return (
        f"Lambda takes no function with the role {role}: {said}. Deploy deploy/{template} first, which makes its "
        "role and queue, or change mode.role; if you have just deployed it, run this again"
    )
