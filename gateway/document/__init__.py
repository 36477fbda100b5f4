"""What operators write, read with its positions, so that every complaint names file, line and key.

    yamlfile ─▶ Document (text with lines) ─▶ section (typed, all problems at once) ─▶ settings, routing

A leaf room: `settings` and `routing` read their files with it and know nothing of each other.
"""
