"""Telling somebody what was decided."""
