"""Fixtures shared by the examples in `tests/`.

A fixture belongs here when tests of more than one folder use it; otherwise in that folder's own
`conftest.py`. What users of the package would also want belongs in `trio_gusto.testing`.
"""
