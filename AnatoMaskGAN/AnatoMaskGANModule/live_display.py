"""Where the live volume stands, beside its box in the panel."""

from slicer.i18n import tr as _

from .label_panel import WARNING_COLOR
from .live import LiveResynthesis, LiveState


def showLiveState(ui, live: LiveResynthesis) -> None:
    """Tick the box while the volume follows, and tell whether it is up to date."""
    texts = {
        LiveState.OFF: "",
        LiveState.PENDING: _("Edited; starting soon..."),
        LiveState.RUNNING: _("Running: {text}"),
        LiveState.UP_TO_DATE: _("Up to date ({text})"),
        LiveState.FAILED: _("Not up to date: {text}"),
    }
    ui.liveStateLabel.setText(texts[live.state].format(text=live.text))
    color = f"color: {WARNING_COLOR}" if live.state is LiveState.FAILED else ""
    ui.liveStateLabel.setStyleSheet(color)
    wasBlocked = ui.liveCheckBox.blockSignals(True)
    ui.liveCheckBox.setChecked(live.isOn)
    ui.liveCheckBox.blockSignals(wasBlocked)
