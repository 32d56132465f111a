"""Stages: the steps that items go through on a desk."""
