"""Rate limits and cost budgets."""
