"""The stations of the assembly line: how each one plans its items, and how one item is worked on.

A station has three parts: its manifest's columns, a function that lists the items (with fingerprints), and a class
whose constructor loads what it needs and whose call works on one item. The same classes serve assets, CLI and cluster.
"""
