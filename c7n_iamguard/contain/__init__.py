"""Taking back what an unintended call gave."""
