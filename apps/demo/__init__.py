"""The main job on a small newsroom: stories in, publish, correct, kill, deliveries out."""
