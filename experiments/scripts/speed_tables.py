"""The page on speed, from its records: `python experiments/scripts/speed_tables.py`.

Records: `speed_mobilenet_v2.json` of `speed.py`, `learning_at_size.json` and `learning_growth.json` of
`learning_at_size.py`, `onnx_speed.json` of `onnx_speed.py`, `ray_equality.json` of `ray_equality.py`, and
`service_load_mobilenet_v2.json` of `service_load.py`; the page says which are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from record_pages import is_there, read, table, write_page

Record = Mapping[str, Any]


def where_time_goes(record: Record) -> list[str]:
    """Return seconds and ratios of `check`, of one image from cold, and memory."""
    seconds = {title: median(values) for title, values in record["seconds"].items()}
    n, ratios = record["n"], record["ratios"]
    work = [title for title in seconds if title.startswith(("bare", "decode", "forward", "check", "peer"))]
    cold = [title for title in seconds if title not in work]
    over = ratios["check similarity over the slower of decode and forward"]
    torch_alone = seconds["one image, torch alone"]
    return [
        f"MobileNetV2, {n} photographs, {record['hardware']['threads']} threads, medians of "
        f"{record['repeats']} repeats in turn. `bare` reads, resizes, normalises and runs the network once, "
        "as it was given or with its batch norms fused into the convolutions, as a guard runs it; `decode` is "
        "all of it but the network, `forward` the network alone. `peer` are other detectors on "
        "the same images, read anew.",
        "",
        *table(
            ["", "seconds", "images a second", "over `bare`", "over `bare, fused`"],
            [
                [
                    title,
                    f"{seconds[title]:.2f}",
                    f"{n / seconds[title]:.0f}",
                    *(f"{seconds[title] / seconds[one]:.2f}" for one in ("bare", "bare, fused")),
                ]
                for title in work
            ],
        ),
        "",
        f"`check similarity` takes {over:.2f} times the slower of `decode` and `forward, fused`.",
        "",
        "One image from cold, in a process of its own. `torch alone` imports PyTorch and torchvision, "
        "loads the weights, reads the image and runs the network once:",
        "",
        *table(
            ["", "seconds", "over torch alone"],
            [[title, f"{seconds[title]:.2f}", f"{seconds[title] / torch_alone:.2f}"] for title in cold],
        ),
        "",
        "Peak memory of a command, in MiB:",
        "",
        *table(["", "MiB"], [[title, str(peak)] for title, peak in record["peak_mib"].items()]),
    ]


def learning(record: Record) -> list[str]:
    """Return what learning and deciding take at the size of ImageNet."""
    size, phases, ratios = record["size"], record["phases"], record["ratios"]
    parts = phases["learn"]["seconds_of_parts"]
    return [
        f"{size['rows']:,} rows of {size['width']:,} features in {size['classes']:,} classes, "
        f"{size['bytes'] / 1e9:.0f} GB on disk; {phases['learn']['prototypes']:,} prototypes. Rows that "
        "were compared with eq. (10) against every prototype agreed to the last bit "
        f"({phases['decide']['rows_checked_against_eq_10']}).",
        "",
        *table(
            ["", "seconds", "peak memory, MB"],
            [
                [
                    "one bare reading of the files",
                    f"{phases['read']['seconds']:.1f}",
                    f"{phases['read']['peak_MB']:.0f}",
                ],
                ["learning", f"{phases['learn']['seconds']:.1f}", f"{phases['learn']['peak_MB']:.0f}"],
                *([f"- {title}", f"{seconds:.1f}", ""] for title, seconds in parts.items()),
                [
                    f"matrix product of {phases['multiply']['rows']:,} rows with all prototypes",
                    f"{phases['multiply']['seconds']:.2f}",
                    f"{phases['multiply']['peak_MB']:.0f}",
                ],
                [
                    "deciding on them",
                    f"{phases['decide']['seconds']:.2f}",
                    f"{phases['decide']['peak_MB']:.0f}",
                ],
            ],
        ),
        "",
        f"Learning takes {ratios['learning_over_one_reading']:.1f} times a bare reading; two readings are "
        "needed, one for the range of each feature and one to learn, and learning compares each row with the "
        "prototypes of its class before the next one may move them. Deciding takes "
        f"{ratios['deciding_over_matrix_product']:.1f} times the bare matrix product.",
    ]


def growth(record: Record) -> list[str]:
    """Return how learning and deciding grow with each number."""
    titles = {"rows": "rows", "width": "features", "classes": "classes"}
    rows = [
        [
            f"{one['size'][name]:,} {title}",
            f"{one['phases']['learn']['prototypes']:,}",
            *(f"{one['phases'][phase]['seconds']:.2f}" for phase in ("read", "learn", "multiply", "decide")),
        ]
        for name, title in titles.items()
        for one in record["growth"][name]
    ]
    base = record["growth"]["rows"][2]["size"]
    return [
        f"Sizes that differ from {base['rows']:,} rows of {base['width']:,} features in {base['classes']:,} classes in "
        "one number; seconds:",
        "",
        *table(["", "prototypes", "one reading", "learning", "matrix product", "deciding"], rows),
        "",
        "![Seconds over rows, features, classes and prototypes, on logarithmic axes](learning-at-size.png)",
    ]


def onnx(record: Record) -> list[str]:
    """Return seconds from cold and rates beside PyTorch."""
    rows = [
        [
            f"`{rule}`",
            runtime,
            f"{median(record[rule]['seconds_of_one'][runtime]):.2f}",
            f"{record[rule]['images_per_second'][runtime]:.0f}",
        ]
        for rule in ("similarity", "profile")
        for runtime in ("torch", "onnx")
    ]
    return [
        f"`simdnn check` of {record['network']}'s guard in processes of their own, {record['images']} photographs:",
        "",
        *table(["rule", "runtime", "one image from cold, s", "images a second"], rows),
    ]


def service(record: Record) -> list[str]:
    """Return throughput and latencies of the service."""
    rates, ratios, loaded, alone = (
        record["images_per_second"],
        record["throughput_ratio_to_network"],
        record["latency_under_load"],
        record["latency_one_at_a_time"],
    )
    return [
        f"`simdnn serve --workers {record['workers']} --threads 1` asked by {record['connections']} "
        f"connections for {record['n']} photographs, {record['repeats']} times in turn with the bare "
        f"network at the same {record['passes']} passes an image: {rates['service']:.1f} images a second "
        f"against {rates['bare']:.1f}, {100 * ratios['bare']:.0f} % of its throughput, and against "
        f"{rates['bare, fused']:.1f}, {100 * ratios['bare, fused']:.0f} %, with its batch norms fused. What is "
        "flagged goes to an audit store.",
        "",
        *table(
            ["", "median, ms", "99th percentile, ms"],
            [
                ["under load", f"{loaded['p50_ms']:.0f}", f"{loaded['p99_ms']:.0f}"],
                ["one at a time", f"{alone['p50_ms']:.0f}", f"{alone['p99_ms']:.0f}"],
            ],
        ),
    ]


def many_processes(record: Record) -> list[str]:
    """Return rates on a local Ray beside one process, and how far the results are apart."""
    alone = record["one_process"]
    rows = [["one process", f"{alone['seconds']:.0f}", f"{alone['images_per_second']:.1f}", "1.00", "", ""]]
    for name, title in (
        ("ray_1", "Ray, 1 process"),
        ("ray_2", "Ray, 2 processes"),
        ("ray_2_killed", "the same, resumed"),
    ):
        found = record[name]
        rate = found["images_per_second"] / alone["images_per_second"]
        resumed = found["blocks_found"] > 0  # then most images were done before
        rows.append(
            [
                title,
                f"{found['seconds']:.0f}",
                "" if resumed else f"{found['images_per_second']:.1f}",
                "" if resumed else f"{rate:.2f}",
                f"{found['largest_difference_of_prototypes']:.0e}",
                f"{found['verdicts_that_differ']} of {found['verdicts']}",
            ]
        )
    killed = record["ray_2_killed"]
    return [
        f"`fit` of MobileNetV2 on {record['images']:,} photographs with its default rule, each process with one "
        f"thread, on {record['hardware']['cores']} cores. In the last run the driver was killed half way and started "
        f"again, and {killed['workers_killed']} of the processes that run the network were killed; "
        f"{killed['blocks_found']} of {killed['blocks']} blocks were found finished:",
        "",
        *table(
            ["", "seconds", "images a second", "over one process", "prototypes differ by", "verdicts differ"],
            rows,
        ),
        "",
        "Images a second are those between the first images done and the last. Two processes and the one that "
        "reads share two cores here; what the second adds is therefore less than on a machine with a core left.",
    ]


SECTIONS: dict[str, tuple[str, Callable[[Record], list[str]], str]] = {
    "Where time goes": ("speed_mobilenet_v2", where_time_goes, "speed.py --record"),
    "Learning and deciding at size": ("learning_at_size", learning, "learning_at_size.py"),
    "How learning and deciding grow": ("learning_growth", growth, "learning_at_size.py --growth"),
    "Without PyTorch": ("onnx_speed", onnx, "onnx_speed.py"),
    "Many processes": ("ray_equality", many_processes, "ray_equality.py --images 3000 --kill"),
    "The service": ("service_load_mobilenet_v2", service, "service_load.py"),
}
"""By title: the record, what writes it down, and the script that measures it."""


def page() -> list[str]:
    """Return the lines of the page."""
    lines = [
        "# Speed",
        "",
        "Measured side by side in one run each, as ratios; `make bench` repeats the first table and marks "
        "what became slower. Times of second opinions are in [second-opinion.md](second-opinion.md#time), "
        "of the audit store in [operate.md](operate.md). `make tables` writes this page from the records, "
        "which name processor, versions and commit.",
    ]
    for title, (name, written, script) in SECTIONS.items():
        found = (
            written(read(name))
            if is_there(name)
            else [f"Not measured; `python experiments/scripts/{script}` does."]
        )
        lines += ["", f"## {title}", "", *found]
    return lines


if __name__ == "__main__":
    write_page("speed.md", page(), __doc__)
