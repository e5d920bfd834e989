"""How long is fuzzed: a few examples, always the same; `make fuzz` goes on for minutes with others."""

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]

settings.register_profile(
    "short", max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=SLOW
)
settings.register_profile("fuzz", max_examples=400, deadline=None, suppress_health_check=SLOW, print_blob=True)
settings.load_profile("short")
