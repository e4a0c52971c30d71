"""Upper limits for the numbers of options: a mistyped one gives an error, not weeks of computing.

The limits are ours, far beyond any use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jsonargparse.typing import restricted_number_type

if TYPE_CHECKING:
    from typing import TypeAlias

    SampleCount: TypeAlias = int
    DeformationCount: TypeAlias = int
    RoundCount: TypeAlias = int
    EdgeLength: TypeAlias = int
else:
    SampleCount = restricted_number_type("SampleCount", int, [(">=", 1), ("<=", 100_000)])
    """Volumes of one label map."""
    DeformationCount = restricted_number_type("DeformationCount", int, [(">=", 0), ("<=", 100_000)])
    """New anatomies of one label map."""
    RoundCount = restricted_number_type("RoundCount", int, [(">=", 1), ("<=", 1000)])
    """Rounds of a calibration."""
    EdgeLength = restricted_number_type("EdgeLength", int, [(">=", 1), ("<=", 4096)])
    """Edge of a slice in pixels."""

IN_WORDS: Mapping[Any, str] = {
    SampleCount: "a whole number, 1 to 100,000",
    DeformationCount: "a whole number, 0 to 100,000",
    RoundCount: "a whole number, 1 to 1,000",
    EdgeLength: "a whole number, 1 to 4,096",
}
"""How the help of an option calls these types."""
