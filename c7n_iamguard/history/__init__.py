"""CloudTrail's event history: who called IAM, and what the event path has missed."""
