"""The only place that constructs the data plane's rooms, joins them, and owns their lifetimes.

`plane` makes the data plane of one configuration, `bearers` whoever proves tokens, and `worker` the process
that both live in.
"""
