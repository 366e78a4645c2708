"""How many examples Hypothesis tries. Each begins with users of its own, so it takes about a second."""

from hypothesis import HealthCheck, Phase, settings


def bounded(examples: int, *, steps: int = 1) -> settings:
    """Return settings for this many examples; of a state machine, with this many steps."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        # Shrinking would take minutes. What differs is found at once.
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
