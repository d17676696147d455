"""Lessons as data: a plan of questions and tasks, what a student did with them, and what a class did. No widgets, nothing executed."""
