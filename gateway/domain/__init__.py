"""The nouns of the house: plain values, standard library only, imported by every room and importing none."""
