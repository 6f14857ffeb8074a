"""All that makes a function's cold start short, but for bytecode, which saves most (:mod:`.function.archive`).

The first event of a cold function waits for the start. A trick that saves less than a twentieth of it is not here.
What each saves, relies on and breaks with: docs/how-it-works.md, "What it relies on".
"""

import gc
import os
from contextlib import contextmanager
from types import SimpleNamespace

from dateutil import zoneinfo


def begin():
    """Stop collecting garbage: objects made at start live as long as the function."""
    gc.disable()


def end():
    """Collect garbage from now on, but never among the objects made at start."""
    gc.freeze()
    gc.enable()


@contextmanager
def without_time_zones():
    """Import c7n without its 600 time zones, which only its filter for off-hours uses, and no policy on IAM."""
    get_zonefile_instance = zoneinfo.get_zonefile_instance
    zoneinfo.get_zonefile_instance = lambda: SimpleNamespace(zones={})
    try:
        yield
    finally:
        zoneinfo.get_zonefile_instance = get_zonefile_instance


def list_services_by_folder(session):
    """Let botocore list its services by their folders' names. By itself it looks into 440 folders, three times."""
    loader = session._session.get_component("data_loader")
    folders = [path for path in loader.search_paths if os.path.isdir(path)]
    loader.list_available_services = lambda type_name: [name for path in folders for name in os.listdir(path)]
