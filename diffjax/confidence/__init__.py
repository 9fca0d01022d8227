"""What a refined person is worth without the truth: signals, what error they lead to expect, and who is left alone."""
