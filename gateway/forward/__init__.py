"""Permit in, answer out: header rules, choice of an address, connections, retries, faults in our words.

A request is sent with `FeedUpstream.send(permit, client)`, which demands a permit; `client` is the other side
of the exchange (`ClientSide`), which gets the answer as it arrives.
"""
