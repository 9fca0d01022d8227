"""Every method that fits the evidence of one annotation set, under one protocol, in one table."""
