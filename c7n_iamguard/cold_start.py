"""Everything that is done to make a function's cold start short.

The first event of a cold function waits for it, so what saves less than a twentieth of the start is not here. What
each part saves is the processor time until the handler is imported, as medians of 24 starts side by side with
bytecode. Bytecode in the archive (:mod:`.function.archive`) saves most, and stands there.

=========================  =====  =======================================  ===========================
what                       saves  the private part that it relies on       a change of it is noticed by
=========================  =====  =======================================  ===========================
no garbage collection      14%    none                                     ``make bench``
no time zones              22%    dateutil's ``get_zonefile_instance``     tests/test_plugin.py
services listed by folder  9%     botocore's ``data_loader``               tests/test_archive.py
the policy's modules only  6%     none: ``metadata: {iam-guard: …}``       tests/test_handler.py
=========================  =====  =======================================  ===========================
"""

import gc
import os
from contextlib import contextmanager
from types import SimpleNamespace

from dateutil import zoneinfo


def begin():
    """Stop collecting garbage: what is made at start lives as long as the function."""
    gc.disable()


def end():
    """Collect garbage from now on, but never among what was made at start."""
    gc.freeze()
    gc.enable()


@contextmanager
def without_time_zones():
    """Import c7n without its 600 time zones, which its filter for off-hours wants in lower case.

    No policy on IAM uses that filter.
    """
    get_zonefile_instance = zoneinfo.get_zonefile_instance
    zoneinfo.get_zonefile_instance = lambda: SimpleNamespace(zones={})
    try:
        yield
    finally:
        zoneinfo.get_zonefile_instance = get_zonefile_instance


def list_services_by_folder(session):
    """Let botocore take the names of its folders for the services that there are.

    By default it looks into each of 440 folders, three times for a client.
    """
    loader = session._session.get_component("data_loader")
    folders = [path for path in loader.search_paths if os.path.isdir(path)]
    loader.list_available_services = lambda type_name: [name for path in folders for name in os.listdir(path)]
