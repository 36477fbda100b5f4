"""Who asks, as far as explaining needs it: an API key, or the bearer of a token; closed."""

from gateway.control.asking_bearer import AskingBearer
from gateway.control.asking_key import AskingKey

Asker = AskingKey | AskingBearer
"""Both answer the same questions, and neither is a credential: nobody's secret is needed to explain.

`called`: the asker in a sentence: `key 3`, `user ada`.
`principal(index)`: compiled by the code that the data plane runs.
`refusal(now)`: why it would not be accepted, whatever it asks for (epoch seconds); None if it would be.
`holdings(store, permitted=)`: its scopes, one holding a side, and what a change of them would touch.
`others(use)`: who has a scope besides.
`holders(scope)`: by whom it has a scope that was given, in a sentence.
`sources(scope, side)`: where it has a scope from.
`commands(edits, permitted=)`: what gives and takes, once the scopes themselves are edited.
`also_touched(edit)`: whom a step touches besides, as a sentence; empty for nobody.
"""
