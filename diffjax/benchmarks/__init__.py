"""What is fast, against whom, measured in one process: one question a module."""
