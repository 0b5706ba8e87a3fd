"""Arithmetic on samples and levels, and short sounds that are made. Pure."""
