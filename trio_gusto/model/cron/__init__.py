"""Cron expressions: what they say, and when that is.

An expression goes through four hands. `expression` reads the text into lists of numbers, by the
grammar in `fields`; `days` knows which days of a month match them; `wall` finds the next matching
time on a clock that never changes; `clock_changes` and `occurrences` carry that over to the clocks
of a time zone, which do.

Grammar and rules are those of Cronos (https://github.com/HangfireIO/Cronos), so that expressions
written for it keep their meaning.
"""
