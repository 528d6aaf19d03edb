"""One pass over images that ends in verdicts, with certified radii and draws that stop early where asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Self

from simdnn.errors import InputError
from simdnn.guard.certifier import Certifier
from simdnn.guard.early import EarlyVoting
from simdnn.guard.judge import Judge
from simdnn.guard.verdict import Verdict
from simdnn.networks.draws import Draws
from simdnn.networks.image_stream import ImageStream
from simdnn.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Judging:
    """All that images pass on their way to a verdict.

    Attributes
    ----------
    extractor : the networks
    judge : of what they give
    draws : noise that the rule looks at; None for one that looks at none
    certifier : adds certified radii, if they are asked for
    voting : draws until a verdict is clear, if that is asked for
    """

    extractor: ImageStream
    judge: Judge
    draws: Draws | None
    certifier: Certifier | None
    voting: EarlyVoting | None

    @classmethod
    def of(
        cls,
        extractor: ImageStream,
        judge: Judge,
        own: Draws | None,
        certify: int | None,
        *,
        fresh: bool,
        early: bool,
    ) -> Self:
        """Make one; InputError if the rule has no second opinion, and one of the last three asks for it.

        Parameters
        ----------
        extractor, judge : see the attributes
        own : noise that follows from the guard's secret
        certify : noisy draws for the radius of each image; None for no radii
        fresh : whether the rule looks at noise that never comes again, in place of ``own``
        early : whether draws stop once a verdict is clear
        """
        draws = replace(own, secret=token_bytes(32)) if own is not None and fresh else own
        rule, voter = judge.rule, extractor.voter
        certifier = voting = None
        if certify is not None:
            if own is None or rule.opinion is None or voter is None:
                raise InputError(
                    f"the rule {rule.name!r} has no second opinion to certify with; fit a guard with an auxiliary "
                    "network: simdnn fit ... --second-opinion FILE"
                )
            certifier = Certifier(voter, rule.opinion, own.for_certificate(certify))
        if (fresh or early) and own is None:
            raise InputError(
                f"the rule {rule.name!r} draws no noise that could be fresh or end early; leave --fresh and --early "
                "out, or fit a guard with an auxiliary network: simdnn fit ... --second-opinion FILE"
            )
        if early and draws is not None and rule.opinion is not None and voter is not None:
            needed = rule.votes_needed(judge.threshold.offset, draws.n)
            voting = EarlyVoting(voter, rule.opinion, draws, needed)
        return cls(extractor, judge, draws, certifier, voting)

    def verdicts(
        self,
        images: Sequence[Path | Tensor],
        names: Sequence[str],
        progress: Progress | None = None,
        keep_bytes: bool = False,
    ) -> Iterator[tuple[Verdict, bytes]]:
        """Yield the verdict of each image, in order, with the bytes that it is about if they are to be kept."""
        done = 0
        stream = self.extractor.stream(
            images,
            views=self.judge.rule.views,
            draws=self.draws if self.voting is None else None,
            pixels=self.certifier is not None or self.voting is not None,
            keep_bytes=keep_bytes,
        )
        for batch in stream:
            verdicts = self.judge(batch if self.voting is None else self.voting(batch), names)
            if self.certifier is not None:
                verdicts = self.certifier(batch, verdicts)
            positions = sorted([*batch.positions.tolist(), *batch.errors])
            kept = dict(zip(batch.positions.tolist(), batch.image_bytes, strict=False))
            for position, verdict in zip(positions, verdicts, strict=True):
                yield verdict, kept.get(position, b"")
            done += len(batch.positions) + len(batch.errors)
            if progress is not None:
                progress(done, len(images))
