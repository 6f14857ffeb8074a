"""The common part of all functions: how Custodian deploys them, and how they run a policy's actions."""

import json
import logging
from contextlib import contextmanager

from botocore.exceptions import ClientError, NoCredentialsError
from c7n.actions import EventAction
from c7n.utils import get_partition

from c7n_iamguard import __version__, aws_names, settings
from c7n_iamguard.aws_names import FUNCTION_ROLES, IAM_REGIONS, OBSERVED, OBSERVES_TAG, SINCE_TAG, VERSION_TAG
from c7n_iamguard.errors import Refusal, logged_once
from c7n_iamguard.event import time_text
from c7n_iamguard.function import changes
from c7n_iamguard.function.defaults import fill_in, function_name, own_modules
from c7n_iamguard.iam.client import THROTTLES, answer_or_none, client_of, error_code
from c7n_iamguard.iam.deciding_action import observes
from c7n_iamguard.iam.principals import ROLE, kind_of
from c7n_iamguard.settings import setting

log = logging.getLogger("c7n_iamguard")


class GuardedFunction:
    """A mode whose function runs the plugin's handler, for policies of the guard. A mixin for c7n's modes."""

    def __init__(self, policy):
        super().__init__(policy)
        if self.guarded:
            fill_in(policy)

    @property
    def guarded(self):
        """Whether the policy is the guard's: it uses one of the plugin's filters, actions or sources."""
        return bool(own_modules(self.policy))

    @property
    def policy_lambda(self):
        """The class of the function that c7n deploys: with bytecode, if it is guarded."""
        # It loads c7n.mu, which functions do not need.
        from c7n_iamguard.function.archive import CompiledPolicyLambda

        return CompiledPolicyLambda if self.guarded else super().policy_lambda

    def run_actions(self, principals, event=None):
        """Run the policy's actions. If one fails, the next ones still run, and then the first error is raised."""
        errors = []
        for action in self.policy.resource_manager.actions:
            by_event = (event,) if isinstance(action, EventAction) else ()
            try:
                action.process(principals, *by_event)
            except Exception as error:
                errors.append(error)
            if event is not None and event.gone:
                break  # whoever has vanished was not denied anything
        if errors:
            raise errors[0]

    def provision(self):
        """Deploy the policy's function. If it is guarded, check the account first, and pin the admins' ids."""
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
        """The line and the warnings that a deployment would print about the policy's function."""
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
        """Put into the policy what its function has to know; the function's line, and a list of warnings."""
        self.check_region()
        policy = self.policy
        tags, before = self.deployed_function()
        observing = observes(policy.resource_manager)
        pins, warnings = changes.pins_for(policy, before)
        summary = changes.summary(policy, function_name(policy), observing, tags, pins)
        changes.write(policy, pins)
        self.leave_out_own_calls(pins["roles"])
        modules = sorted({type(self).__module__, *own_modules(policy)})
        policy.data.setdefault("metadata", {})["iam-guard"] = {"modules": modules}
        own = policy.data["mode"].setdefault("tags", {})
        own |= {VERSION_TAG: __version__, OBSERVES_TAG: "yes" if observing else "no"}
        if policy.execution_mode == "periodic":
            own[SINCE_TAG] = self.judged_since(tags.get(SINCE_TAG))
        return summary, [*(self.dead_rule() if tags else ()), *warnings]

    def say_what_stays_with_the_command(self):
        """Log which of Custodian's options for metrics, logs, tracing and output the function does not get."""
        options = self.policy.options
        asked = {
            "--metrics": options.metrics_enabled,
            "--log-group": options.log_group,
            "--output-dir": "://" in (options.output_dir or ""),
            "--trace": options.tracer not in ("", None, "default"),
        }
        given, name = ", ".join(option for option in asked if asked[option]), function_name(self.policy)
        if given:
            log.info("%s runs without %s, which stay with this command", name, given)

    def check_region(self):
        """Refuse to deploy to a region without IAM's events, in which nothing would invoke the function."""
        region, where = self.policy.options.region, f"policy:{self.policy.name} region:"
        right = IAM_REGIONS.get(get_partition(region))
        if right is None:
            raise Refusal(f"{where} nobody knows which region of its partition gets IAM's events")
        if region != right:
            problem = f"IAM's events do not reach {region}, so the function would see nothing"
            raise Refusal(f"{where} {problem}; deploy it with -r {right}")

    def leave_out_own_calls(self, roles):
        """Leave the function's own calls out of a rule on roles; ``roles`` has the ids of roles by name."""
        # By the id of its role: if the rule left out a name, it would miss whoever takes that name.
        own = roles.get(self.policy.data["mode"]["role"].rpartition("/")[2])
        if own and self.policy.execution_mode == "cloudtrail":
            place = self.policy.data["mode"]["pattern"]
            for key in ("detail", "userIdentity", "sessionContext", "sessionIssuer"):
                place = place.setdefault(key, {})
            place["principalId"] = [{"exists": False}, {"anything-but": [own]}]

    def deployed_function(self):
        """The tags and the pins of the function that is deployed now.

        If there is none, the tags are empty, and the pins are the groups of another function of the guard: whoever
        deleted this one may have given the group's name to another group.
        """
        client, own = client_of(self.policy.resource_manager, "lambda"), function_name(self.policy)
        for name in (own, *aws_names.MAIN_FUNCTIONS):
            if deployed := answer_or_none(client.get_function, FunctionName=name):
                break
        else:
            return {}, None
        environment = deployed["Configuration"].get("Environment", {})
        errors = {"kms:Decrypt": environment.get("Error"), "lambda:ListTags": deployed.get("TagsError")}
        for right, error in errors.items():
            if error:  # the deployment would forget what the function knows
                problem = f"Lambda does not show all of the deployed function: {error.get('Message', error)}"
                raise Refusal(f"policy:{self.policy.name}: {problem}; whoever deploys needs {right}")
        variables = environment.get("Variables", {})
        pins = json.loads(variables.get(settings.PINS, "null"))
        if name != own:
            return {}, {"groups": (pins or {}).get("groups", {})}
        return deployed.get("Tags", {}), pins

    def judged_since(self, mark):
        """The new value of the tag that says since when a catch-up judges calls; ``mark`` is the present one.

        Observing people alone counts as observing: so when that ends, the catch-up also leaves out what other roles
        called before.
        """
        now = time_text()
        if mark and mark.removesuffix(OBSERVED) > now:
            mark = None  # somebody has set a time in the future
        manager = self.policy.resource_manager
        if observes(manager) or any(setting(one, "observe-people", False) for one in manager.actions):
            return (mark or now).removesuffix(OBSERVED) + OBSERVED
        return now if mark is None or mark.endswith(OBSERVED) else mark

    def dead_rule(self):
        """Warnings if nothing can invoke the function that is deployed now. The deployment repairs that."""
        client, name = client_of(self.policy.resource_manager, "events"), function_name(self.policy)
        try:
            disabled = client.describe_rule(Name=name)["State"] == "DISABLED"
            targets = client.list_targets_by_rule(Rule=name)["Targets"]
            problem = "is disabled" if disabled else None if targets else "has no target"
        except client.exceptions.ResourceNotFoundException:
            problem = "is deleted"
        text = (
            f"its rule {problem}, so nothing has invoked the function for some time; a deployment enables it "
            "again, and the catch-up judges what was missed"
        )
        return [text] if problem else []


#: The fix if AWS refuses whoever deploys, and the codes that call for it.
FIXES = {
    "Sign in again, and run this again": (
        "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
        "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure",
    ),
    "Get that right, such as by deploy/access.yml, and run this again to complete what is there": (
        "AccessDenied", "AccessDeniedException", "UnauthorizedOperation",
    ),
    "Run this again: it completes what is there": THROTTLES,
}  # fmt: skip


def foreseen(policy, error):
    """Why AWS refuses a deployment, and the fix, as a sentence; None for an error of another kind."""
    if isinstance(error, NoCredentialsError):
        return "there are no AWS credentials; set AWS_PROFILE, or whatever else your AWS CLI finds them by"
    code, said = error_code(error), error.response["Error"].get("Message", "").rstrip(".")
    for fix, codes in FIXES.items():
        if code in codes:
            return f"{error.operation_name} answered {code}: {said}. {fix}"
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
