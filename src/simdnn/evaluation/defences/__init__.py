"""Defences by other authors, each a wrapper around a network: images in [0, 1] to logits."""

from simdnn.evaluation.defences.averaged import Averaged
from simdnn.evaluation.defences.bart import reseed
from simdnn.evaluation.defences.defended import defended, hash_defences

__all__ = ["Averaged", "defended", "hash_defences", "reseed"]
