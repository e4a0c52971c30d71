"""The training subjects: which of them are evaluated too, and what real against real reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AnatoMaskGANLib.evaluation import EvaluationCase, Row
    from AnatoMaskGANLib.evaluation.baselines import TrainingCase
    from AnatoMaskGANLib.synthesis import ModelCard

MOST_OTHER_SUBJECTS = 20
"""Training subjects, spread over all, that are compared with each evaluated one."""


def cases_in_card(card: ModelCard, split: str) -> tuple[str, ...]:
    """The cases of train, validation or test that a model's card names; none if it names none."""
    return _listed(card, f"{split} cases")


def _listed(card: ModelCard, key: str) -> tuple[str, ...]:
    names = (name.strip() for name in str(card.training.get(key, "")).split(","))
    return tuple(name for name in names if name)


def is_same_case(name: str, in_card: str) -> bool:
    """Whether a case folder is the case that a card names, as brain-t1-sub-19 is sub-19."""
    return name == in_card or name.endswith((f"-{in_card}", f"_{in_card}"))


def is_of_seen_subject(name: str, subject: str, in_card: str) -> bool:
    """Whether a case is one that a card names, or another one of the same subject.

    The subject is known by names as in BIDS: sub-01_ses-2 has the subject of sub-01_ses-1.
    """
    from AnatoMaskGANLib.preparation.case_folders import subject_of

    known = (in_card, subject_of(in_card))
    return any(is_same_case(one, other) for one in (name, subject) for other in known)


def notes_on_seen_cases(
    cards: Sequence[ModelCard], subject_of_case: Mapping[str, str]
) -> Iterator[str]:
    """Notes on models that saw evaluated cases or subjects, or do not say what they saw.

    subject_of_case: name of each evaluated case -> its subject.
    """
    for card in cards:
        trained = cases_in_card(card, "train")
        if not trained:
            yield (
                f"The card of {card.name} does not name its training cases, so it cannot "
                "be checked whether it was trained on the evaluated cases."
            )
        seen = _among(subject_of_case, trained, card, "train")
        if seen:
            yield (
                f"{card.name} was trained on {', '.join(seen)}: its metrics there prove "
                "nothing. Evaluate cases that it was not trained on."
            )
        chosen_by = _among(subject_of_case, cases_in_card(card, "validation"), card, "validation")
        if chosen_by:
            yield (
                f"{card.name} was not trained on {', '.join(chosen_by)}, but settings or "
                "a checkpoint may have been chosen with it, because it was a validation "
                "case."
            )


def _among(
    subject_of_case: Mapping[str, str], in_card: Sequence[str], card: ModelCard, split: str
) -> list[str]:
    """The evaluated cases that a card names, and those whose subject it names."""
    found = []
    for name, subject in subject_of_case.items():
        if any(is_same_case(name, other) for other in in_card):
            found.append(name)
        elif any(
            is_of_seen_subject(name, subject, other)
            for other in (*in_card, *_listed(card, f"{split} subjects"))
        ):
            found.append(f"the subject of {name}")
    return found


def trained_cases(found: Sequence[TrainingCase], card: ModelCard) -> list[TrainingCase]:
    """The cases that the card names as training cases; all of them if it names none."""
    names = cases_in_card(card, "train")
    known = [case for case in found if any(is_same_case(case.name, name) for name in names)]
    return known or list(found)


def training_rows(
    case: EvaluationCase, training: Sequence[TrainingCase], card: ModelCard
) -> list[Row]:
    """A row per training subject: its real scan against the real scan of the case."""
    from AnatoMaskGANLib.evaluation import Row
    from AnatoMaskGANLib.evaluation.metrics.case_metrics import (
        Subject,
        to_grid_case,
        unpaired_metrics,
    )
    from AnatoMaskGANLib.evaluation.metrics.slice_sets import TRAINING

    step = -(-len(training) // MOST_OTHER_SUBJECTS)
    grid = to_grid_case(case.real, case.real, case.label_map, card.window, card.spacing_ijk_mm)
    own = Subject(grid.real_kji, grid.labels_kji)
    rows = []
    for other in training[::step]:
        image = other.read_image()
        grid = to_grid_case(image, image, other.label_map, card.window, card.spacing_ijk_mm)
        metrics, labels = unpaired_metrics(own, Subject(grid.real_kji, grid.labels_kji))
        name = f"{case.name} against {other.name}"
        rows.append(Row(TRAINING, name, case.subject or case.name, metrics, labels))
    return rows
