"""The figures, a module for each subject: what is measured, against which floor, and the goals.

Nothing is imported here: a module can be loaded beside a product that does not know the others'
features.
"""
