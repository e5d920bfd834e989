"""The browser app of mask detection: try a detector, compare trainings, read the report."""
