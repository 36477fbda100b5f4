"""The gateway beside its peers, and beside itself: one command, `python -m bench.run` (`make bench`).

run ─▶ cases ─▶ rows ─▶ rounds (interleaved) ─▶ readings ─▶ results ─▶ report, picture, targets
                 │
                 └─ a row is a stand: a peer laid out, put to the proof, then started afresh every round
"""
