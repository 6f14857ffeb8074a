"""Who is meant to use IAM, now and then; and whom nobody should have made an admin."""
