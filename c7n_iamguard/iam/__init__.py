"""IAM: its clients, its users and roles, its policy documents."""
