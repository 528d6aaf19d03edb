"""Defences of others, each a wrapper around any network: images in [0, 1] to logits."""

from simdnn.lab.defences.averaged import averaged
from simdnn.lab.defences.bart import reseed
from simdnn.lab.defences.defended import DEFENCES, defended

__all__ = ["DEFENCES", "averaged", "defended", "reseed"]
