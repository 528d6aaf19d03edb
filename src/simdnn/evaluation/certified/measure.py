"""Votes of each labelled image: those that the rule looks at, and many more that the certificate rests on."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from simdnn.errors import InputError
from simdnn.evaluation.certified.summary import certified_rules
from simdnn.evaluation.records import Records, cell_key
from simdnn.guard.guard import Guard
from simdnn.images.files import labelled_images
from simdnn.networks.batch import Batch
from simdnn.networks.draws import Draws
from simdnn.networks.extractor import Extractor
from simdnn.progress import Progress
from simdnn.rules.inputs import RuleInput


def measure_votes(
    guard: Guard, data: Path, draws: int, records: Records, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Count votes for every image that has no record yet; each record is written as it comes.

    The draws of the certificate are others than the rule's: they say what the rule's own would do for any image nearby.

    Parameters
    ----------
    guard : with a second opinion
    data : folder with one subfolder of images per class, or a CSV file; the names of the classes are the guard's
    draws : noisy draws of each image for the certificate
    records : where the votes are kept
    progress : called with (images done, images in all)

    Returns
    -------
    The records in the order of the images: ``image`` (its path), ``label``, ``given`` (the class that the protected
    network gives), ``scores`` of the rules, and ``counts`` of the auxiliary network's outputs. Unreadable images are
    left out.

    Raises
    ------
    InputError
        If the guard has no second opinion, or an image is of another class.
    """
    opinion, own = guard.rule.opinion, guard.auxiliary
    if opinion is None or own is None:
        raise InputError("expected a guard with a second opinion: simdnn fit ... --second-opinion FILE")
    paths, labels = labelled_images(data)
    if unknown := sorted(set(labels) - set(opinion.names)):
        raise InputError(f"the guard does not know the classes {', '.join(unknown[:5])}")
    more = own.all_draws.for_certificate(draws)
    rules = certified_rules(guard)
    facts = {"guard": guard.model_id, "draws": draws, "rules": list(rules)}
    keys = [
        cell_key(facts | {"image": sha256(path.read_bytes()).hexdigest(), "label": label})
        for path, label in zip(paths, labels, strict=True)
    ]
    left = [i for i, key in enumerate(keys) if not records.has(key)]
    done = len(paths) - len(left)
    stream = guard.extractor.stream(
        [paths[i] for i in left], views=guard.rule.views, draws=own.all_draws, pixels=True
    )
    for batch in stream:
        inputs = RuleInput.of(batch, guard.model)
        classes = opinion.classes(inputs.logits, inputs.predictions)
        scores = {name: rule.score(inputs) for name, rule in rules.items()}
        for row, position in enumerate(batch.positions.tolist()):
            i = left[position]
            records.add(
                {
                    "key": keys[i],
                    "image": str(paths[i]),
                    "label": labels[i],
                    "given": opinion.names[classes[row]],
                    "scores": {name: float(values[row]) for name, values in scores.items()},
                    "counts": _counts(guard.extractor, batch, row, more),
                }
            )
            done += 1
            if progress is not None:
                progress(done, len(paths))
    where = dict(zip(keys, map(str, paths), strict=True))
    by_key = {record["key"]: record for record in records if record["key"] in where}
    return [by_key[key] | {"image": path} for key, path in where.items() if key in by_key]


def _counts(extractor: Extractor, batch: Batch, row: int, draws: Draws) -> list[int]:
    """Count the votes of one image, so that what an interruption loses is one image."""
    assert extractor.voter is not None
    assert batch.pixels is not None
    counts: list[int] = extractor.voter.count(batch.pixels[row : row + 1], draws)[0].tolist()
    return counts
