"""When users and roles last used a service: IAM's jobs, answered from the calls that the sandbox has seen.

A test may also write into :data:`.entities.last_used`. On AWS it takes hours until a call shows up there.
"""

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.iam import exceptions
from moto.iam.responses import IamResponse
from moto.moto_api._internal import mock_random

from sandbox.iam.entities import last_used, page_of

#: What GenerateServiceLastAccessedDetails found, by job.
jobs = {}


def patches():
    """The methods of moto that are replaced while a sandbox runs, as (class, name, replacement)."""
    return [
        (IamResponse, "generate_service_last_accessed_details", generate_service_last_accessed_details),
        (IamResponse, "get_service_last_accessed_details", get_service_last_accessed_details),
    ]


def note(arn, service):
    """Remember that a user or a role has just called a service."""
    last_used.setdefault(arn, {})[service] = utcnow()


def generate_service_last_accessed_details(self):
    """A job about a user or a role that is done at once. Its findings are in :data:`last_used`."""
    arn = self._get_param("Arn")
    if arn not in [one.arn for one in (*self.backend.users.values(), *self.backend.roles.values())]:
        raise exceptions.NoSuchEntity(f"ARN {arn} does not exist.")
    job = str(mock_random.uuid4())
    jobs[job] = (utcnow(), arn, dict(last_used.get(arn, {})))
    return ActionResult({"JobId": job})


def get_service_last_accessed_details(self):
    """What a job found, service by service, by pages."""
    job = self._get_param("JobId")
    if job not in jobs:
        raise exceptions.NoSuchEntity(f"Job {job} does not exist.")
    made, arn, found = jobs[job]
    services, pages = page_of(self, [service_detail(arn, name, when) for name, when in found.items()])
    return ActionResult(
        {
            "JobStatus": "COMPLETED",
            "JobType": "SERVICE_LEVEL",
            "JobCreationDate": made,
            "JobCompletionDate": made,
            "ServicesLastAccessed": services,
            **pages,
        }
    )


def service_detail(arn, namespace, when):
    """A service that a user may use, and where they did, when."""
    used = {"LastAuthenticated": when, "LastAuthenticatedEntity": arn} if when else {}
    return {
        "ServiceName": namespace.upper(),
        "ServiceNamespace": namespace,
        "TotalAuthenticatedEntities": 1 if when else 0,
        **used,
    }


def reset():
    """Forget when who last used what."""
    last_used.clear()
    jobs.clear()
