"""Validators: rules that items must meet to be published; loaded by commands."""
