"""Method and path to target: what a request is for, in feed, route, module and action.

    canonical (one reading of a path) ─▶ table (compiled, cost apart from the number of routes) ─▶ Target

A path is canonicalised once, and exactly what was matched is forwarded. Maps are read by `loading` and kept
as `routemap` values; `lint` says what in a good map may still surprise.
"""
