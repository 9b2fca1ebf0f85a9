"""The shared manager: leases, one load at a time, budgets, and what a load would take."""
