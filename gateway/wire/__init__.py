"""The client's side: connections, framing, limits, deadlines, and relaying with backpressure.

ClientConnection   one client: reads heads and bodies, answers in order, one `Turn` at a time
Turn               one request and its answer; what the pipeline judges and forwarding talks to
Listener           what all connections share, and the way to drain them
"""
