"""What the user should not overlook, in one color all over the panel."""

WARNING_COLOR = "#d2691e"


def showText(label, text: str, isWarning: bool = False, color: str = "") -> None:
    """Show a text in a label; color: of a text that does not warn, the panel's own if empty."""
    shown = WARNING_COLOR if isWarning else color
    label.setStyleSheet(f"color: {shown}" if shown else "")
    label.setText(text)
