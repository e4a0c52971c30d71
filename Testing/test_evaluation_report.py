"""The report as one HTML file, its plots and its data."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.metrics.label_intensities import LabelStatistics
from AnatoMaskGANLib.evaluation.report.page import ReportContents, write_report
from AnatoMaskGANLib.evaluation.report.plots import (
    embed_features,
    embedding_figure,
    labels_figure,
    subjects_figure,
)
from AnatoMaskGANLib.evaluation.report.table import Row, Table
from AnatoMaskGANLib.volumes import VolumeError

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def _label(ratio: float, num_voxels: int = 600) -> LabelStatistics:
    return LabelStatistics(num_voxels, 0.5, 0.5, 0.1, 0.1 * ratio, 0.02)


def _table() -> Table:
    rows = [
        Row(
            method,
            case,
            case,
            {"psnr": psnr + offset, "ssim": 0.9, "dz_ratio": ratio},
            {1: _label(ratio), 2: _label(ratio, num_voxels=10)},
        )
        for case, offset in (("a", 0.0), ("b", 1.0))
        for method, psnr, ratio in (("model", 31.0, 0.98), ("label-mean <image>", 28.0, 0.5))
    ]
    return Table(tuple(rows), {"model": {"fid (encoder)": 12.5}})


class _Outline(HTMLParser):
    """Collects headings and addresses, and checks that tags close in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th", "span"):
            self.cells.append(data.strip())


@pytest.fixture
def report(tmp_path: Path) -> str:
    picture = tmp_path / "case.png"
    picture.write_bytes(PNG)
    contents = ReportContents(
        title="A & B",
        baseline="label-mean <image>",
        settings={"Model": "brain-t1"},
        notes=["LPIPS was left out: its weights are not there."],
        label_names={1: "Cortex", 2: "Speck"},
        pictures={"Case a": picture},
    )
    path = write_report(tmp_path, _table(), contents)
    return path.read_text(encoding="utf-8")


def test_the_report_is_well_formed_and_needs_nothing_but_itself(report: str) -> None:
    outline = _Outline()
    outline.feed(report)
    assert outline.open == []
    assert outline.addresses and all(
        address.startswith("data:image/png;base64,") for address in outline.addresses
    )
    assert "http" not in re.sub(r"base64,[^\"]*", "", report)


def test_the_report_shows_means_intervals_and_advantages(report: str) -> None:
    outline = _Outline()
    outline.feed(report)
    assert {"31.50", "31.00 to 32.00", "+3.00", "12.50", "brain-t1"} <= set(outline.cells)


def test_the_report_warns_of_few_subjects_and_says_what_was_left_out(report: str) -> None:
    assert "With 2 subjects the intervals are too narrow" in report
    assert "LPIPS was left out" in report


def test_names_are_text_in_the_report_and_no_markup(report: str) -> None:
    assert "label-mean <image>" not in report and "label-mean &lt;image&gt;" in report
    assert "<h1>A &amp; B</h1>" in report


def test_the_figures_stand_beside_the_report_as_data(report: str, tmp_path: Path) -> None:
    content = json.loads((tmp_path / "figures.json").read_text())
    assert content["summary"]["model"]["psnr"]["mean"] == 31.5
    assert content["sets"]["model"]["fid (encoder)"] == 12.5
    assert (tmp_path / "figures.csv").read_text().startswith("method,case,subject,psnr")
    assert "Speck" in (tmp_path / "labels.csv").read_text()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="folder does not exist"):
        write_report(tmp_path / "absent", _table(), ReportContents())


def test_a_figure_has_a_panel_only_if_it_was_measured() -> None:
    titles = [panel.get_title() for panel in subjects_figure(_table()).axes if panel.get_visible()]
    assert [title.split("  ")[0] for title in titles] == ["PSNR dB", "SSIM", "|dz| ratio"]


def test_labels_too_small_to_count_are_not_plotted() -> None:
    figure = labels_figure(_table(), {1: "Cortex", 2: "Speck"})
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["Cortex"]


def test_an_embedding_keeps_neighbors_together_and_is_the_same_each_time() -> None:
    generator = np.random.default_rng(0)
    features = np.concatenate([generator.normal(0, 1, (20, 6)), generator.normal(30, 1, (20, 6))])
    points = embed_features(features)
    assert np.allclose(points, embed_features(features))
    from_own, from_other = (
        np.linalg.norm(points[:20] - points[part].mean(axis=0), axis=1)
        for part in (slice(0, 20), slice(20, 40))
    )
    assert (from_own < from_other).all()


def test_an_embedding_plot_names_each_set_with_its_size() -> None:
    generator = np.random.default_rng(0)
    figure = embedding_figure({"Real": generator.random((6, 3)), "model": generator.random((5, 3))})
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["Real (6)", "model (5)"]


def test_an_embedding_of_four_images_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        embed_features(np.zeros((4, 3)))
