"""The HTTP contract for machines: `document` joins what `prices`, `history`, `streams` and `ops` say of their routes.

`schemas` has the bodies, most of them the models themselves, and `parts` what every operation is made of.
"""
