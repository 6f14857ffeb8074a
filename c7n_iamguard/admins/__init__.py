"""The users and roles that are meant to use IAM, now and at a past moment, and the admin group's protection."""
