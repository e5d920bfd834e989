"""The assets: thin functions that read inputs, call one operation and record the result."""
