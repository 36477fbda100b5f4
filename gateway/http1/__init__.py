"""HTTP/1.1 messages as words: heads and bodies, read from bytes and written to bytes. No sockets, no clock.

`wire` speaks it to clients and `forward` to feeds. Every head passes one regular expression of ours first,
which is the grammar of RFC 9112 with the lenient readings left out, and is then parsed by llhttp: both must
agree. Lines end in CRLF, names are tokens, values hold no control character, nothing is folded.
"""
