"""The orchestration: definitions for Dagster's code server, automation, and a way to materialize from a shell."""
