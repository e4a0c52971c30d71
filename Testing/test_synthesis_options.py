from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import label_map_of, random_labels, tiny_synthesizer

from AnatoMaskGANLib.commands.synthesize import SynthesizeOptions
from AnatoMaskGANLib.synthesis.errors import SynthesisCancelledError
from AnatoMaskGANLib.synthesis.options import (
    LAST_SEED,
    Progress,
    SamplingSettings,
    SynthesisOptions,
)
from AnatoMaskGANLib.synthesis.session import SynthesisSession
from AnatoMaskGANLib.synthesis.worker.messages import ModelChoice, SynthesizeRequest


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"noise_strength": -0.1}, "noise_strength is -0.1; expected a number from 0 to 100"),
        ({"noise_strength": float("nan")}, "noise_strength is nan"),
        ({"noise_strength": True}, "noise_strength is True"),
        ({"noise_strength": "1"}, "noise_strength is 1"),
        ({"noise_length_scale": 4.1}, "noise_length_scale is 4.1; expected a number from 0.25 to"),
        ({"unmatched": "drop"}, "unmatched is 'drop'; expected 'stop' or"),
        ({"seeds": ()}, "seeds is empty"),
        ({"seeds": (1.5,)}, "expected whole numbers"),
        ({"seeds": 3}, "seeds is 3; expected whole numbers"),
        ({"seeds": (0, -(2**63))}, f"A seed is -{2**63}; expected {LAST_SEED} at most"),
        ({"user_table": ["liver"]}, "user_table is a list; expected a mapping"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        SynthesisOptions(**settings)


def test_numbers_of_numpy_become_plain_ones_that_json_can_hold() -> None:
    options = SynthesisOptions(
        seeds=np.arange(2),  # type: ignore[arg-type]
        noise_strength=np.float32(0.5),  # type: ignore[arg-type]
    )
    assert json.loads(json.dumps(asdict(options)))["seeds"] == [0, 1]
    assert options.noise_strength == 0.5 and type(options.noise_strength) is float


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("noise_strenght", "no setting 'noise_strenght'; expected noise_strength"),
        ("on_progress", "expected progress"),
        ("temperature", "expected noise_strength or noise_length_scale or unmatched or seeds"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_closest_names(name: str, said: str) -> None:
    label_map = label_map_of(random_labels((2, 8, 8)))
    with pytest.raises(TypeError, match=said):
        tiny_synthesizer().synthesize(label_map, **{name: 1})


def test_settings_are_given_in_one_way() -> None:
    options = SynthesisOptions(seeds=(3,))
    assert SynthesisOptions.of(options, {}) is options
    assert SynthesisOptions.of(None, {"seed": 3}) == options
    with pytest.raises(TypeError, match="Both seed and seeds came"):
        SynthesisOptions.of(None, {"seed": 3, "seeds": (4,)})
    with pytest.raises(TypeError, match="Both options and seed came"):
        SynthesisOptions.of(options, {"seed": 3})
    with pytest.raises(TypeError, match="options is a int; expected SynthesisOptions, or seed="):
        tiny_synthesizer().session(label_map_of(random_labels((2, 8, 8))), 7)  # type: ignore[arg-type]


def test_one_volume_and_a_session_have_one_seed() -> None:
    label_map = label_map_of(random_labels((2, 8, 8)))
    synthesizer = tiny_synthesizer()
    with pytest.raises(ValueError, match="2 seeds came; expected one"):
        synthesizer.synthesize(label_map, seeds=(1, 2))
    with pytest.raises(ValueError, match="2 seeds came; expected one, as"):
        synthesizer.session(label_map, seeds=(1, 2))
    session = SynthesisSession(synthesizer.model, SynthesisOptions())
    with pytest.raises(RuntimeError, match="no volume yet"):
        _ = session.volume


def test_a_setting_of_the_core_is_an_option_of_the_command_line() -> None:
    names = {one.name for one in fields(SamplingSettings)}
    assert names <= {one.name for one in fields(SynthesizeOptions)}
    options = SynthesizeOptions(output=Path("out"), inputs=(Path("in"),), noise_strength=0.5)
    made = options.for_seeds((4, 5), {"liver": 3})
    assert made == SynthesisOptions(noise_strength=0.5, seeds=(4, 5), user_table={"liver": 3})


def test_a_volume_says_how_it_was_made_so_that_it_can_be_made_again() -> None:
    label_map = label_map_of(random_labels((3, 12, 12)))
    synthesizer = tiny_synthesizer()
    volume = synthesizer.synthesize(label_map, seed=9, noise_strength=0.5, noise_length_scale=2)
    again = SynthesisOptions.from_provenance(volume.provenance)
    assert again == SynthesisOptions(seeds=(9,), noise_strength=0.5, noise_length_scale=2.0)
    made = synthesizer.synthesize(label_map, again).voxels_kji
    np.testing.assert_array_equal(made, volume.voxels_kji)
    before_lengths = {"Seed": "4", "NoiseStrength": "1.0"}  # of a volume of an early version
    assert SynthesisOptions.from_provenance(before_lengths) == SynthesisOptions(seeds=(4,))


def test_a_request_comes_back_from_its_message() -> None:
    options = SynthesisOptions(seeds=(1,), user_table={"liver": None}, unmatched="background")
    request = SynthesizeRequest(ModelChoice("tiny", "cpu", True, 2**30), options, live=True)
    message = json.loads(json.dumps(request.to_message()))
    assert SynthesizeRequest.from_message(message) == request
    assert SynthesizeRequest.from_message({}) == SynthesizeRequest()


def test_progress_reports_a_part_as_a_part_of_the_whole() -> None:
    said: list[tuple[float, str]] = []
    whole = Progress(lambda fraction, text: said.append((fraction, text)))
    whole.span(0.25, 0.75).report(0.5, "half of it")
    assert said == [(0.5, "half of it")]
    whole.stop_if_cancelled()
    with pytest.raises(SynthesisCancelledError):
        Progress(is_cancelled=lambda: True).span(0, 1).stop_if_cancelled()


def test_the_settings_load_without_torch() -> None:
    code = (
        "import sys\n"
        "from AnatoMaskGANLib.synthesis import Progress, SynthesisOptions\n"
        "SynthesisOptions(seeds=(1,)), Progress()\n"
        "print(sorted({'torch', 'SimpleITK'} & sys.modules.keys()))\n"
    )
    root = Path(__file__).resolve().parents[1]
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
