"""When users and roles last used a service: IAM's jobs, answered from the calls that the sandbox has seen.

A test may also write into ``last_used`` of the sandbox. On AWS it takes hours until a call shows up there.
"""

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.iam import exceptions
from moto.iam.responses import IamResponse
from moto.moto_api._internal import mock_random

from sandbox import running
from sandbox.iam.entities import page_of
from sandbox.replacements import replaces


def note(arn, service):
    running.sandbox.last_used.setdefault(arn, {})[service] = utcnow()


@replaces(IamResponse)
def generate_service_last_accessed_details(self):
    """A job about a user or a role that is done at once. Its findings are in ``last_used`` of the sandbox."""
    arn = self._get_param("Arn")
    if arn not in [one.arn for one in (*self.backend.users.values(), *self.backend.roles.values())]:
        raise exceptions.NoSuchEntity(f"ARN {arn} does not exist.")
    job = str(mock_random.uuid4())
    running.sandbox.jobs[job] = (utcnow(), arn, dict(running.sandbox.last_used.get(arn, {})))
    return ActionResult({"JobId": job})


@replaces(IamResponse)
def get_service_last_accessed_details(self):
    """A job's result, service by service, by pages."""
    job = self._get_param("JobId")
    if job not in running.sandbox.jobs:
        raise exceptions.NoSuchEntity(f"Job {job} does not exist.")
    made, arn, found = running.sandbox.jobs[job]
    services = [
        {"ServiceName": name.upper(), "ServiceNamespace": name, "TotalAuthenticatedEntities": int(bool(when))}
        | ({"LastAuthenticated": when, "LastAuthenticatedEntity": arn} if when else {})
        for name, when in found.items()
    ]
    page, pages = page_of(self, services)
    job = {"JobStatus": "COMPLETED", "JobCreationDate": made, "JobCompletionDate": made}
    return ActionResult({**job, "ServicesLastAccessed": page, **pages})
