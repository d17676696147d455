"""Simulators of single experiments, as surveys of the practice sky: seeded, without a network, and marked as simulated wherever they show.

The practice sky proper (`astrofuse_lab.surveys.practice`) has objects at positions; what is drawn here (bursts, lock losses, alerts,
transits) belongs to no object of that sky, so that every target gets one of its own, by its name and the seed.
"""
