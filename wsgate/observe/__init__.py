"""Counting, the access log and the error log: what an operator can know about the gateway."""
