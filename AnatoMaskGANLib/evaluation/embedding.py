"""A map of real and synthetic images in two dimensions, by t-SNE of their features."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from AnatoMaskGANLib.evaluation.packages import import_package
from AnatoMaskGANLib.evaluation.plot_style import MARKERS, SERIES_COLORS, plain_axes


def embed_features(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """The feature vectors [N,D] in the plane, [N,2]; the same seed gives the same map.

    Raises ValueError below five vectors.
    """
    if len(features) < 5:
        raise ValueError(
            f"An embedding needs at least 5 feature vectors, got {len(features)}. Use more slices."
        )
    manifold = import_package("sklearn.manifold", "The embedding plot")
    perplexity = min(30.0, (len(features) - 1) / 3)
    tsne = manifold.TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return tsne.fit_transform(features.astype(np.float32))


def embedding_figure(features: Mapping[str, np.ndarray], seed: int = 0) -> Figure:
    """The plot: one color and marker a set. `features` maps a set's name to its vectors [N,D]."""
    points = embed_features(np.concatenate(list(features.values())), seed)
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    start = 0
    for number, (name, vectors) in enumerate(features.items()):
        part = points[start : start + len(vectors)]
        start += len(vectors)
        axes.scatter(
            part[:, 0],
            part[:, 1],
            s=16,
            color=SERIES_COLORS[number % len(SERIES_COLORS)],
            marker=MARKERS[number % len(MARKERS)],
            alpha=0.75,
            linewidths=0,
            label=f"{name} ({len(vectors)})",
        )
    plain_axes(axes)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("t-SNE 1 (no unit: only neighborhoods mean something)")
    axes.set_ylabel("t-SNE 2")
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    return figure
