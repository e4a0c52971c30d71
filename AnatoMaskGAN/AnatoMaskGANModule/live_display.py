"""Where the live volume stands, beside its box in the panel."""

from slicer.i18n import tr as _

from .live import LiveResynthesis, LiveState
from .warning_text import showText


def showLiveState(ui, live: LiveResynthesis) -> None:
    """Tick the box while the volume follows, and tell whether it is up to date."""
    texts = {
        LiveState.OFF: "",
        LiveState.PENDING: _("Edited; the update starts shortly..."),
        LiveState.RUNNING: _("Running: {text}"),
        LiveState.UP_TO_DATE: _("Up to date ({text})"),
        LiveState.FAILED: _("Not up to date: {text}"),
    }
    text = texts[live.state].format(text=live.text)
    showText(ui.liveStateLabel, text, live.state is LiveState.FAILED)
    wasBlocked = ui.liveCheckBox.blockSignals(True)
    ui.liveCheckBox.setChecked(live.isOn)
    ui.liveCheckBox.blockSignals(wasBlocked)
