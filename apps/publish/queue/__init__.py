"""The delivery queue: its rows, its lanes, and the payloads they share."""
