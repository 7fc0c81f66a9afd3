"""Certificates from an authority that speaks ACME (RFC 8555): when, how, and the answers to its questions."""
