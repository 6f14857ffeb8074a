"""The organization that the sandbox's accounts are in, as condition keys tell of it."""

#: The id of the organization.
ID = "o-a1b2c3d4e5"
#: Accounts that are outside of it.
outsiders = set()


def of(account):
    """The id of the organization that an account is in; None for outsiders."""
    return None if account in outsiders else ID


def reset():
    """Every account is in the organization."""
    outsiders.clear()
