"""The AWS clients that the filters, actions and sources share.

In a Lambda, c7n's sessions build a new client, and with it a new TLS connection, for every event.
:mod:`c7n_iamguard.handler` makes the clients while the function initializes, and :func:`keep` makes them
serve every event from then on.
"""

import os

from botocore.config import Config
from c7n.utils import get_retry, local_session

#: Tries per call, the first included. Standard mode retries every throttling code, 5xx, connection errors
#: and timeouts, with jittered exponential backoff. If all fail, the error is raised, and Lambda tries the
#: event again.
ATTEMPTS = int(os.environ.get("AWS_MAX_ATTEMPTS", "5"))

#: For events. The worst call takes 5 * (2 + 6) + 15 seconds, so that two of them, as a revocation needs,
#: fit into the function's 120 seconds.
CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    connect_timeout=2,
    read_timeout=6,
    tcp_keepalive=True,
)

#: For whole accounts: adaptive mode also slows down before IAM's limits, which all of an account share.
BULK_CONFIG = CONFIG.merge(
    Config(retries={"mode": "adaptive", "total_max_attempts": 2 * ATTEMPTS}, read_timeout=60)
)

#: IAM answers these if two calls change one principal at the same time; botocore does not retry them.
retry_conflicts = get_retry(("ConcurrentModification", "EntityTemporarilyUnmodifiable"), max_attempts=3)

_kept = {}


def keep(service, client):
    """Let ``client`` serve every call to ``service`` from now on."""
    _kept[service] = client


def client_of(manager, service, config=BULK_CONFIG, region=None):
    """The client of a service for a policy's resource manager.

    :param manager: c7n's resource manager; its session factory says as whom to call
    :param service: such as ``events``
    :param region: another region than the policy's
    """
    session = local_session(manager.session_factory)
    return _kept.get(service) or session.client(service, region_name=region, config=config)


def iam(manager):
    """The IAM client for a policy's resource manager."""
    return client_of(manager, "iam")


def map_threaded(element, function, items, workers=4):
    """What ``function`` returns for each item, in the items' order, with several threads if there are several.

    :param element: c7n's filter or action, whose executor is used
    :raises Exception: the first error of any call
    """
    items = list(items)
    if len(items) < 2:  # an event's caller; starting a thread takes longer than the rest of c7n
        return [function(item) for item in items]
    with element.executor_factory(max_workers=workers) as executor:
        return list(executor.map(function, items))


def error_code(error):
    """The code of a botocore ClientError, such as ``NoSuchEntity``."""
    return error.response["Error"]["Code"]
