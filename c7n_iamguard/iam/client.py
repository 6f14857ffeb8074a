"""The AWS clients that the filters, actions and sources share.

In a Lambda, c7n's sessions build a new client, and with it a new TLS connection, for every event. So
:mod:`c7n_iamguard.handler` makes the clients while the function initializes, and keeps them for every event.
"""

import os
from weakref import WeakKeyDictionary

from botocore.config import Config
from c7n.utils import get_retry, local_session

#: Tries per call, the first included. If all fail, the error is raised, and Lambda tries the event again.
ATTEMPTS = int(os.environ.get("AWS_MAX_ATTEMPTS", "5"))

#: For events. The worst call takes 5 * (2 + 6) + 15 seconds. A revocation needs two calls, and the function has
#: 120 seconds.
STANDARD = {"mode": "standard", "total_max_attempts": ATTEMPTS}
CONFIG = Config(retries=STANDARD, connect_timeout=2, read_timeout=6, tcp_keepalive=True)

#: For whole accounts: adaptive mode also slows down before it reaches IAM's limits.
ADAPTIVE = {"mode": "adaptive", "total_max_attempts": 2 * ATTEMPTS}
BULK_CONFIG = CONFIG.merge(Config(retries=ADAPTIVE, read_timeout=60))

#: IAM answers these if two calls change one principal at the same time; botocore does not retry them.
retry_conflicts = get_retry(("ConcurrentModification", "EntityTemporarilyUnmodifiable"), max_attempts=3)

#: AWS answers these if what a call is about does not exist.
MISSING = ("NoSuchEntity", "ResourceNotFoundException")
#: AWS answers these if there are too many requests.
THROTTLES = ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded")

#: The clients that serve every event, by service.
_kept = {}
#: The clients of c7n's sessions.
_made = WeakKeyDictionary()


def keep(service, client):
    """Let ``client`` serve every call to ``service`` from now on."""
    _kept[service] = client


def client_of(manager, service, config=BULK_CONFIG, region=None):
    """The client of a service, such as ``events``, in the policy's region unless another one is given."""
    if service in _kept:
        return _kept[service]
    # c7n counts a policy's calls, and names it in their user agent, by the client that makes them.
    wanted = manager.data.get("name"), service, region, config
    session = local_session(manager.session_factory)
    clients = _made.setdefault(session, {})
    if wanted not in clients:
        clients[wanted] = session.client(service, region_name=region, config=config)
    return clients[wanted]


def iam(manager):
    """The IAM client for c7n's resource manager."""
    return client_of(manager, "iam")


def answer_or_none(call, *names, **parameters):
    """AWS's answer to a call; None if what the call is about does not exist."""
    return retry_conflicts(call, *names, **parameters, ignore_err_codes=MISSING)


def map_threaded(element, function, items):
    """The results of ``function`` in the items' order. Several items are handled in threads."""
    if len(items) < 2:  # an event's caller; starting a thread takes longer than the rest of c7n
        return [function(item) for item in items]
    # All callers of an account share IAM's limits, so more threads would only be throttled more often.
    with element.executor_factory(max_workers=5) as executor:
        return list(executor.map(function, items))


def error_code(error):
    """The code of a botocore ClientError, such as ``NoSuchEntity``."""
    return error.response["Error"]["Code"]
