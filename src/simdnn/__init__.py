"""Sim-DNN."""
