"""The operations of Maskline: a pure library over plain values.

Nothing here knows Dagster, DVC or MLflow, and importing a module loads nothing heavy.
"""
