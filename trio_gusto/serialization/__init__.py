"""A call ↔ text: which handlers exist, and how their arguments and results are written down.

`registry` knows the handlers of one app, `codec` the wire form of every type, `calls` the wire form
of a call, `views` turns a stored job into the record that users look at. This room knows no storage,
no actor and no event loop. The wire format is documented in `docs/reference/wire-format.md`.
"""
