"""Translation functions that give the text back as it came; they stand in for Slicer's."""


def tr(text: str) -> str:
    return text


def translate(context: str, text: str) -> str:
    return text
