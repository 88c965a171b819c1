"""What is true: the pure rules of a job's life.

Nothing in this room knows a clock, an event loop, a disk or randomness: time and random numbers
arrive as arguments. Instants are integers, microseconds since 1970-01-01 UTC; durations are
integers, microseconds. Aware ``datetime`` and ``timedelta`` live at the public edge only.
"""
