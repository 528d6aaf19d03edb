"""Plans are data: mistakes are found by reading them, names are suggested, and no heavy library is needed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.test_bench import PLAN

from simdnn.attacks.registry import ATTACKS as CLASSES
from simdnn.attacks.registry import make_attack
from simdnn.errors import InputError
from simdnn.evaluation.baselines import BASELINES
from simdnn.evaluation.baselines.detector import find_detector
from simdnn.evaluation.names import ATTACKS, CONTROLS, METHODS, REQUIRED
from simdnn.evaluation.plan import Plan
from simdnn.evaluation.plan_file import read_plan
from simdnn.images import corruptions
from simdnn.rules.profile import LEVELS
from simdnn.rules.registry import find_rule

PLANS = Path(__file__).parents[2] / "experiments" / "plans"


def read(folder: Path, text: str) -> Plan:
    path = folder / "p.toml"
    path.write_text(text, encoding="utf-8")
    return read_plan(path)


def test_reading_a_plan_imports_no_heavy_library() -> None:
    code = (
        "import sys; from pathlib import Path; from simdnn.evaluation.plan_file import read_plan\n"
        "for path in sys.argv[1:]: read_plan(Path(path))\n"
        "print(sorted({'torch', 'torchvision', 'pytorch_ood', 'secmlt', 'foolbox', 'skimage'} & set(sys.modules)))"
    )
    plans = sorted(map(str, PLANS.glob("*.toml")))
    assert len(plans) >= 6
    done = subprocess.run([sys.executable, "-c", code, *plans], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_of_a_plan_is_read(tmp_path: Path) -> None:
    plan = read(tmp_path, 'records = "elsewhere"\nseed = 3\nalpha = 0.1\nimages = 7\n' + PLAN)
    assert (plan.name, plan.folder, plan.records) == ("p", tmp_path, tmp_path / "elsewhere" / "p.jsonl")
    assert (plan.seed, plan.alpha, plan.images, plan.layout) == (3, 0.1, 7, "methods")
    network = plan.networks[0]
    assert (network.row, network.dataset, network.size, network.mean) == (
        "MobileNet",
        "digits",
        32,
        (0, 0, 0),
    )
    assert plan.datasets["digits"].test_images == 60
    assert [(c.kind, c.label, c.form) for c in plan.columns] == [
        ("clean", "clean", "8-bit"),
        ("control", "noise 0.02", "8-bit"),
        ("attack", "fgsm-0.1", "8-bit"),
        ("attack", "pgd-0.1", "8-bit"),
        ("attack", "ddn-20", "8-bit"),
        ("attack", "pgd-0.1", "8-bit"),
    ]
    last = plan.columns[-1]
    assert last.parameters == {"attack": "pgd", "eps": 0.1, "steps": 2, "step_size": 0.0125}
    assert (last.through, last.samples, last.limit) == ("bart", 2, 8)
    assert read(tmp_path, PLAN).records == tmp_path / "records" / "p.jsonl"


def test_an_included_file_gives_what_the_plan_lacks(tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text('title = "Of the other"\nnote = "Of the other"\n', encoding="utf-8")
    plan = read(tmp_path, 'include = ["more.toml"]\n' + PLAN)
    assert (plan.title, plan.note) == ("Smoke", "Of the other")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('metrics = ["auroc"', 'metrics = ["roc"', "metrics: expected one of accuracy"),
        ('"msp", ', '"msq", ', "or package.module:Detector; got 'msq'; did you mean 'msp'?"),
        ('controls = ["noise 0.02"]', 'controls = ["noise"]', "controls: expected one of noise 0.01"),
        ('attack = "fgsm", eps = 0.1', 'attack = "fgsm"', "fgsm needs eps"),
        ('attack = "fgsm"', 'attack = "fgms"', "expected an attack among fgsm, pgd"),
        ('attack = "fgsm"', 'attack = "fgms"', "got 'fgms'; did you mean 'fgsm'"),
        ('steps = 20', 'stepz = 20', "ddn has no parameter stepz; it has steps, levels; did you mean 'steps'?"),
        ('limit = 8', 'limits = 8', "pgd has no parameter limits; it has eps, steps, step_size; did you mean 'limit'?"),
        ('through = "bart"', 'through = "bert"', "attack pgd: through: expected one of bart, resupnet; got 'bert'"),
        ('limit = 8', 'limit = -8', "attack pgd: Expected `int` >= 0 - at `$.limit`"),
        ('limit = 8', 'limit = 8, forms = ["8bit"]', "forms: expected one of 8-bit, float, JPEG 75; got '8bit'; did"),
        ('backbone = "resnet18"', 'backbon = "resnet18"', "network absent has unknown settings: backbon; known are"),
        ('backbone = "resnet18"', 'backbon = "resnet18"', "; did you mean 'backbone'?"),
        ('backbone = "resnet18"', '', "network absent: Object missing required field `backbone`"),
        ('size = 32', 'size = "32"', "network MobileNet: Expected `int | null`, got `str` - at `$.size`"),
        ('dataset = "digits"', 'dataset = "digit"', "dataset of MobileNet: expected one of digits; got 'digit'; did"),
        ('test_images = 60', 'test_image = 60', "dataset digits has unknown settings: test_image; known are"),
        ('test_images = 60', 'test_image = 60', "; did you mean 'test_images' or"),
        ('title = "Smoke"', 'titel = "Smoke"', "the plan has unknown settings: titel; known are"),
        ('title = "Smoke"', 'titel = "Smoke"', "; did you mean 'title'?"),
        ('title = "Smoke"', 'title = "Smoke"\nalpha = 5', "the plan: Expected `float` < 1.0 - at `$.alpha`"),
        ('title = "Smoke"', 'title = "Smoke"\ninclude = "x"', "expected a list of files for 'include', got 'x'"),
        ('title = "Smoke"', 'title = "Smoke"\nrows = ["MobileNt"]', "rows: expected one of MobileNet, absent; got"),
        ('title = "Smoke"', "", "the plan lacks 'title'"),
        ('title = "Smoke"', 'title = "Smoke', "expected a plan in TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_what_may_have_been_meant(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in PLAN
    with pytest.raises(InputError) as caught:
        read(tmp_path, PLAN.replace(old, new))
    assert message in str(caught.value)
    assert str(tmp_path / "p.toml") in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            '{ attack = "pgd", eps = 0.1, steps = 100, step_size = 0.04 }',
            "got pgd-0.1, 8-bit twice, which differ in steps 5 and 100 only",
        ),
        (
            '{ attack = "pgd", eps = 0.1, steps = 2, through = "bart", samples = 3, limit = 8 }',
            "got pgd-0.1, 8-bit, through bart twice, which differ in samples 2 and 3 only",
        ),
        ('{ attack = "ddn", steps = 20 }', "got ddn-20, 8-bit twice, which are equal"),
    ],
)
def test_columns_that_tables_could_not_tell_apart_are_refused(
    tmp_path: Path, more: str, message: str
) -> None:
    text = PLAN.replace("limit = 8 },", f"limit = 8 }},\n  {more},")
    with pytest.raises(InputError, match="expected columns with different heads") as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "leave one out, or put it into another plan" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the plan .*p\.toml: No such file"):
        read_plan(tmp_path / "p.toml")


@pytest.mark.parametrize("name", CLASSES)
def test_the_attacks_are_those_of_the_code_with_its_defaults(tmp_path: Path, name: str) -> None:
    assert list(ATTACKS) == list(CLASSES)
    given: dict[str, Any] = {
        p: 7 if p == "steps" else 0.25 for p, v in ATTACKS[name].items() if v is REQUIRED
    }
    if name == "pgd":
        del given["step_size"]
    settings = ", ".join(f"{key} = {value}" for key, value in given.items())
    attacks = f'attacks = [{{ attack = "{name}", {settings} }}]'.replace(",  }", " }")
    before, _, rest = PLAN.partition("attacks = [")
    plan = read(tmp_path, before + attacks + rest.partition("\n]")[2])
    made = make_attack({"attack": name} | given)
    (column,) = [column for column in plan.columns if column.kind == "attack"]
    assert column.parameters == {"attack": name} | {f.name: getattr(made, f.name) for f in fields(made)}


def test_the_corruptions_and_methods_are_those_of_the_code() -> None:
    assert list(CONTROLS) == list(corruptions.CONTROLS)
    assert [name for name in METHODS if "profile" in name] == [
        *(f"sim-dnn profile {level}" for level in LEVELS),
        "sim-dnn profile+opinion",
    ]
    assert all(find_rule(name.split()[1]) for name in METHODS if name.startswith("sim-dnn"))
    assert all(callable(find_detector(name)) for name in BASELINES)
