"""Telling an EventBridge bus what was decided, and a person what to do about it."""
