"""The measures that make a cold start short, and leave nothing behind. In this process."""

import gc

from botocore.session import get_session
from dateutil import zoneinfo

from c7n_iamguard import cold_start


def test_garbage_is_collected_again_after_the_start():
    """While the function starts nothing is collected, and what it has made by then never is."""
    try:
        cold_start.begin()
        assert not gc.isenabled()
        cold_start.end()
        assert gc.isenabled()
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


def test_time_zones_are_back_after_the_import():
    """dateutil reads its zones again as soon as c7n is imported, also if the import fails."""
    try:
        with cold_start.without_time_zones():
            assert zoneinfo.get_zonefile_instance().zones == {}
            raise ImportError
    except ImportError:
        assert zoneinfo.get_zonefile_instance().zones


def test_the_services_are_those_of_botocore():
    """The folders' names are what botocore itself finds, whatever folders there are not."""
    import boto3

    session, itself = boto3.Session(), get_session().get_component("data_loader")
    cold_start.list_services_by_folder(session)
    loader = session._session.get_component("data_loader")
    assert set(itself.list_available_services("service-2")) <= set(
        loader.list_available_services("service-2")
    )
