"""The main configuration: frozen, typed, checked at birth, and dealt out by the leaf.

    loading (file, environment) ─▶ model.Settings

A rule or a default is in `model`, next to the setting it belongs to; how files are read is in `document`.
"""
