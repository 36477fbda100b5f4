"""Credential in, principal out: who asks is read from the header section and proven against the store."""
