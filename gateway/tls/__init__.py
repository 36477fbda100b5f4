"""TLS for both sides: sessions over plain transports, and contexts made of an operator's files.

TlsSession        TLS between a transport and the protocol that speaks through it
ServerTerms       what clients are shown and asked for; `server_context` makes it so
ClientTerms       how a feed must prove itself; `client_context` makes it so
CertificateWatch  takes up new certificates while the gateway runs
"""
