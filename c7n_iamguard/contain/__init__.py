"""Reversing what an unintended call to IAM gave.

:mod:`.action` asks :mod:`.undoable` for a plan for the event's call: no change, a reversal, or manual steps, which
are in :mod:`.manual`. It carries out a reversal if its :mod:`.preconditions` hold. It does not delete new users and
roles, but puts them into :mod:`.quarantine`.
"""
