"""``periodic`` mode for the guard's catch-ups: every decision is logged, and errors fail the run.

This mode replaces c7n's own, and acts differently only for policies of the guard.
"""

import logging

from c7n.policy import PeriodicMode, execution

from c7n_iamguard.decisions import log_line
from c7n_iamguard.function.checks import FUNCTION, check_admins_pass, check_mode
from c7n_iamguard.function.deployment import GuardedFunction

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
                principals = self.policy.resource_manager.resources()
                if principals:
                    self.run_actions(principals)
            return principals
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            account = self.policy.options.account_id
            log.error(log_line("failed", None, policy=self.policy.name, account=account, reason=reason))
            raise
