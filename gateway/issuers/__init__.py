"""Authorization servers, asked off the path of a request: their key sets, and what they say of opaque tokens.

`fetching` is the one way out, `key_source` finds the keys of an issuer, `issuer_keys` keeps them fresh, and
`introspection` asks about single tokens. Whatever they answer is input to be judged, and never trusted to be
small, quick, whole or well meant; what they fail to answer is an outage of ours, never a bad token.
"""
