"""The time that a function's imports take, by ``-X importtime``."""

import re

from bench.callers import ADMIN

STARTS = 10
LIBRARIES = {
    "c7n": "c7n",
    "c7n_iamguard": "the plugin",
    **dict.fromkeys(("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "jmespath", "six"), "boto3"),
}
REST = "Python and the runtime client"


def by_library(box, function):
    """The milliseconds that each library's own modules take to import, in the fastest of some starts."""
    uploaded, fastest = function.uploaded(box), {}
    uploaded.environment_vars["PYTHONPROFILEIMPORTTIME"] = "1"
    for _ in range(STARTS):
        box.functions.cool()
        event = function.kind.event(box, function.account, ADMIN)
        log = box.functions.attempt(function.name, event, function.account).log
        for own, module in re.findall(r"import time: +(\d+) \| +\d+ \| *(\S+)", log):
            fastest[module] = min(fastest.get(module, int(own)), int(own))
    del uploaded.environment_vars["PYTHONPROFILEIMPORTTIME"]
    sums = dict.fromkeys(["c7n", "the plugin", "boto3", REST], 0)
    for module, own in fastest.items():
        sums[LIBRARIES.get(module.split(".")[0], REST)] += own / 1000
    return {library: round(ms, 1) for library, ms in sums.items()}
