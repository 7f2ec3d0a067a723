"""The recurrence, the agents, the use cases and the wiring. Knows no page, no torch and no SQL."""
