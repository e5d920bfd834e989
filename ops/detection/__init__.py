"""Detection's data: boxes from and to the formats people annotate in, split without leaks, balanced by pasting."""
