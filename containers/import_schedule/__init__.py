"""The command that takes schedules out of the closed services."""
