"""A function of the guard: what is deployed, and how it runs."""
