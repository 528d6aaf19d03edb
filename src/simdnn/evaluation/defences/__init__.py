"""Defences of others, each a wrapper around any network: images in [0, 1] to logits."""

from simdnn.evaluation.defences.averaged import averaged
from simdnn.evaluation.defences.bart import reseed
from simdnn.evaluation.defences.defended import DEFENCES, defended

__all__ = ["DEFENCES", "averaged", "defended", "reseed"]
