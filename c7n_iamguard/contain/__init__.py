"""Reversing what an unintended call to IAM gave.

:mod:`.action` gets the event and asks :mod:`.undoable` for a plan: no change, a reversal, or manual steps, which
are in :mod:`.manual`. It carries out a reversal if its :mod:`.preconditions` hold. New users and roles are not
deleted, but put into :mod:`.quarantine`.

Functions that ask IAM raise ``botocore.exceptions.ClientError`` for every answer that their docstrings leave out.
"""
