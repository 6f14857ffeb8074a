"""Who is meant to use IAM."""
