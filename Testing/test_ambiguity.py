"""What can be read in two ways is refused, and what a terminal would obey is shown instead."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_tiny_model

from AnatoMaskGANLib.cli import main, start_logging
from AnatoMaskGANLib.commands.manifest import read_records
from AnatoMaskGANLib.commands.printable_text import printable
from AnatoMaskGANLib.commands.train import TrainOptions, read_settings_file, run_settings
from AnatoMaskGANLib.commands.yaml_text import parse_yaml
from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.synthesis import CheckpointError
from AnatoMaskGANLib.synthesis.models.catalog import read_catalog
from AnatoMaskGANLib.synthesis.worker.exchange import MessageError, decoded
from AnatoMaskGANLib.volumes import LabelMap, VolumeError, load_label_table, write_label_map
from AnatoMaskGANLib.volumes.case_store import StoreError, open_store
from AnatoMaskGANLib.volumes.label_names import read_label_names

TWICE = "comes twice"


def test_a_key_twice_in_json_is_refused_at_any_depth() -> None:
    assert parse_json('{"a": {"b": 1}, "b": [{"a": 2}]}') == {"a": {"b": 1}, "b": [{"a": 2}]}
    for text in ('{"a": 1, "a": 1}', '{"x": [{"b": {"a": 1, "c": 2, "a": 3}}]}'):
        with pytest.raises(ValueError, match=f"'a' {TWICE}"):
            parse_json(text)


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_byte_order_mark_is_skipped(start: str) -> None:
    assert parse_json((start + '{"a": 1}').encode()) == {"a": 1}


def test_tables_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    table = {"name": "limb", "labels": {"1": "skin"}}
    path = tmp_path / "table.json"
    path.write_text("\ufeff" + json.dumps(table), encoding="utf-8")
    assert load_label_table(path).labels == {1: "skin"}
    settings = tmp_path / "run.yaml"
    settings.write_text("\ufeffsteps: 3\n", encoding="utf-8")
    assert read_settings_file(settings) == {"steps": 3}


def test_a_table_that_names_a_value_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    for labels, message in (
        ('{"3": "liver", "3": "spleen"}', f"'3' {TWICE}"),
        ('{"3": "liver", "03": "spleen"}', f"value 3 {TWICE}"),
    ):
        path.write_text(f'{{"name": "abdomen", "labels": {labels}}}')
        with pytest.raises(VolumeError, match=message):
            load_label_table(path)


def test_names_that_mean_two_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    for text, message in (
        ('{"1": "liver", "1": "spleen"}', TWICE),
        ('{"liver": 1, "liver": 2}', TWICE),
        ('{"1": "liver", "2": "Liver"}', "call both 1 and 2 'Liver'"),
    ):
        path.write_text(text)
        with pytest.raises(VolumeError, match=message):
            read_label_names(path)
    more = {"name": "x", "labels": {"1": "liver"}, "more_values": {"2": "liver"}}
    path.write_text(json.dumps(more))
    assert read_label_names(path) == {1: "liver", 2: "liver"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 1\nsteps: 2\n", "'steps' comes twice, again in line 2"),
        ("data:\n  stack_size: 1\n  batch_size: 2\n  stack_size: 3\n", "again in line 4"),
        ("a: [{b: 1, b: 2}]", "'b' comes twice"),
    ],
)
def test_a_key_twice_in_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_settings_file(path)


def test_yaml_is_read_as_before() -> None:
    text = "a: &x {b: 1, c: [1, 2]}\nd: *x\n1: one\n'1': text\n"
    same = {"b": 1, "c": [1, 2]}
    assert parse_yaml(text) == {"a": same, "d": same, 1: "one", "1": "text"}
    assert parse_yaml("") is None and parse_yaml("3") == 3
    assert parse_yaml("[2e-3, 1E+4, -3.e2, 1e3x, 0x1e3]") == [0.002, 1e4, -300.0, "1e3x", 0x1E3]
    assert parse_yaml("a: &x {<<: {b: 1}, b: 2}") == {"a": {"b": 2}}


def test_a_circle_of_anchors_ends() -> None:
    circle = parse_yaml("a: &x [*x]")
    assert circle["a"][0] is circle["a"]


def test_a_setting_twice_stops_a_training_before_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("store: a\nstore: b\n")
    with pytest.raises(ValueError, match=TWICE):
        run_settings(TrainOptions(config=path))


def test_other_files_with_a_key_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"format": 1, "format": 2}')
    with pytest.raises(StoreError, match=TWICE):
        open_store(tmp_path)
    (tmp_path / "catalog.json").write_text('{"format": 1, "format": 2}')
    with pytest.raises(CheckpointError, match=TWICE):
        read_catalog(tmp_path / "catalog.json")
    with pytest.raises(MessageError, match=TWICE):
        decoded(b'{"kind": 1, "kind": 2}\n')
    (tmp_path / "manifest.jsonl").write_text('{"target": 1, "target": 2}\n{"target": 3}\n')
    assert read_records(tmp_path / "manifest.jsonl") == [{"target": 3}]


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert printable("\x1b[31mliver\r\x07\x9b2J\u202e") == "\\x1b[31mliver\\r\\x07\\x9b2J\\u202e"
    assert printable("two\nlines\tand ä 肝") == "two\nlines\tand ä 肝"


def test_the_log_shows_names_with_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(False)
    logging.getLogger("AnatoMaskGANLib.test").warning("label %s", "\x1b]0;owned\x07")
    assert capsys.readouterr().err == "label \\x1b]0;owned\\x07\n"


def test_the_commands_on_models_show_names_with_escapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path))
    write_tiny_model(tmp_path / "tiny", name="\x1b[2Jtiny", description="red \x1b[31m text")
    for words in (["list"], ["show", "tiny"], ["verify", "tiny"]):
        assert main(["models", *words]) == 0
        printed = capsys.readouterr().out
        assert "\x1b" not in printed and "\\x1b" in printed, words


def test_an_error_about_a_label_shows_its_name_with_escapes(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.zeros((6, 12, 12), np.uint8)
    labels[2:5, 3:9, 3:9] = 1
    write_label_map(
        LabelMap(labels, np.diag([2.0, 2.0, 2.0, 1.0]), {1: "\x1b[31mliver"}), tmp_path / "a.nrrd"
    )
    output = str(tmp_path / "out.nii.gz")
    code = main(
        ["synthesize", str(tmp_path / "a.nrrd"), "--output", output, "--model", str(tiny_model)]
    )
    printed = capsys.readouterr().err
    assert code == 1 and "\x1b" not in printed and "\\x1b[31mliver" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["synthesize", "a.nii", "--output", "b", "--samples", "1000000000"],
        ["synthesize", "a.nii", "--output", "b", "--deform", "1000000000"],
        ["synthesize", "a.nii", "--output", "b", "--deform", "1000", "--samples", "1000"],
        ["evaluate", "a", "--output", "b", "--samples", "1000000000"],
        ["evaluate", "a", "--output", "b", "--resolutions", "1000000000"],
        ["evaluate", "utility", "a", "--output", "b", "--deform", "1000000000"],
        ["models", "calibrate", "brain-t1", "new", "--store", "a", "--rounds", "1000000000"],
    ],
)
def test_a_count_without_sense_is_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert "000" in printed and len(printed.splitlines()) == 1
