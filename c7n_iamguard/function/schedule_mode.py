"""``periodic`` mode for the guard's catch-ups: every decision is logged, and errors fail the run.

This mode replaces c7n's own, and acts differently only for policies of the guard.
"""

import logging

from c7n.policy import PeriodicMode, execution

from c7n_iamguard.decisions import log_line
from c7n_iamguard.function.checks import FUNCTION, check_admins_pass, check_mode
from c7n_iamguard.function.deployment import GuardedFunction
from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.principals import kind_of

log = logging.getLogger("c7n_iamguard")


@execution.register("periodic")
class GuardedPeriodicMode(GuardedFunction, PeriodicMode):
    """A policy that runs in pull mode within lambda.

    Runs Custodian in AWS lambda at user defined cron interval using EventBridge rules. For a policy of the guard,
    the mode has defaults, pins the ids of the admins at the deployment, and logs a run that fails. For all other
    policies, it is c7n's own mode.
    """

    def validate(self):
        """Check the settings of a guarded policy, beside c7n's own checks."""
        super().validate()
        if self.guarded:
            check_mode(self.policy, FUNCTION)
            check_admins_pass(self.policy)

    def run(self, event, lambda_context=None):
        """Run the policy over the account, and return those whom its filters left.

        If the policy is guarded, an error is logged before it is raised for Lambda's retry.
        """
        if not self.guarded:
            return super().run(event, lambda_context)
        try:
            if not self.policy.is_runnable():
                return []
            with self.policy.ctx:
                principals = self.as_of_now(self.policy.resource_manager.resources())
                if principals:
                    self.run_actions(principals)
            return principals
        except Exception as error:
            log.error(self.log_line("failed", reason=f"{type(error).__name__}: {error}"))
            raise

    def as_of_now(self, principals):
        """The principals, by their ids, under the names that they have now: the run may have taken minutes."""
        manager, found = self.policy.resource_manager, []
        if (kind := kind_of(manager)) is None:
            return principals
        for principal in principals:
            name = principal[kind.name_key]
            if now := kind.now(iam(manager), name, principal[kind.id_key]):
                found.append(principal | now)
            else:
                reason = f"the {kind.name} does not exist any more"
                log.info(self.log_line("let-pass", **{kind.name: name}, reason=reason))
        return found

    def log_line(self, verdict, **fields):
        """A decision as one line of JSON."""
        about = {"policy": self.policy.name, "account": self.policy.options.account_id}
        return log_line(verdict, None, **about, **fields)
