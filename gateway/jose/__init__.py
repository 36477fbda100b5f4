"""Proves JWT access tokens: bytes, keys, terms and a time in; claims or a flaw out. Pure, and strict.

    token ─▶ read (jws: RFC 7515, token: RFC 7519) ─▶ verify (signature, then claims) ─▶ Claims | Flaw
                  key set (RFC 7517) ─────────────────────┘

Our own strict reading comes first; joserfc, over OpenSSL, then does the arithmetic (docs/decisions/0008).
"""
