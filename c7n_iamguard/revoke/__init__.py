"""Denying IAM by a ``ladder`` of ways, because quotas may be full, and giving it back."""
