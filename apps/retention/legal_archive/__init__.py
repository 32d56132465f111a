"""The long-term archive: what was published, with its versions, history and deliveries, for good.

Its documents stand alone: people, desks, stages and subscribers are named, not referred to, so that
they can be read when those are gone.
"""
