"""Something to try the gateway on: a training platform's API with made-up records, and a map of its routes.

The feed knows nothing of authorisation; that is what the gateway in front of it is for.
"""
