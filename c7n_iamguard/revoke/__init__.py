"""Denying IAM, and giving it back."""
