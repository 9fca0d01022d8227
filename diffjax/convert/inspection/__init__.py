"""What a file is, what is in it, and what looks wrong: the parts of `convert/inspect.py`."""
