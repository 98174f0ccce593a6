"""Schedules of the closed services, and what they become elsewhere.

`describe` reads what the service said of a schedule; `jobs` turns it into the jobs of this project, and
writes those for one orchestrator each. Nothing is executed here.
"""
