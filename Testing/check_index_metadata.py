"""Checks what Slicer's Extensions Index asks of an extension, and writes the entry for it.

    python Testing/check_index_metadata.py
    python Testing/check_index_metadata.py --url https://github.com/OWNER/REPOSITORY \
        --entry AnatoMaskGAN.json

Without --url what needs the public address of the repository is listed as open, not as wrong. The
exit code is 1 when something is wrong. Nothing is fetched: whether the addresses answer is not
looked at.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
NAME = "AnatoMaskGAN"
CATEGORY = "Image Synthesis"
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/"
    "slicer-extension-catalog-entry-schema-v1.0.1.json#"
)
# The fields of that schema, which allows no others: name, type, whether it is required.
ENTRY_FIELDS: dict[str, tuple[type, bool]] = {
    "$schema": (str, True),
    "build_dependencies": (list, False),
    "build_subdirectory": (str, False),
    "category": (str, True),
    "enabled": (bool, False),
    "scm_revision": (str, False),
    "scm_type": (str, False),
    "scm_url": (str, True),
    "tier": (int, False),
}
ICON_SIZE = (128, 128)
LARGEST_GIT_FOLDER = 100 * 10**6
LONGEST_DESCRIPTION = 200
# Binaries that nobody can read, archives, and pickles, which run code when they are opened.
FORBIDDEN_ENDINGS = (
    *(".exe", ".dll", ".so", ".dylib", ".pyd", ".o", ".a", ".jar", ".whl"),
    *(".zip", ".tar", ".tgz", ".7z", ".rar", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin"),
)
README_WORDS = (NAME, "3D Slicer", "MIT", "research", "Screenshots/", "tutorial", "PyTorch")


@dataclass
class Findings:
    """What is wrong, and what cannot be filled in before there is a public address."""

    wrong: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def need(self, is_right: object, text: str) -> None:
        if not is_right:
            self.wrong.append(text)


def check(repository: Path, url: str | None) -> Findings:
    """Everything that is wrong with the repository as an extension."""
    findings = Findings()
    metadata = cmake_metadata((repository / "CMakeLists.txt").read_text(encoding="utf-8"))
    check_metadata(findings, metadata, url)
    check_module(findings, repository, metadata)
    check_pictures(findings, repository)
    check_texts(findings, repository)
    check_files(findings, repository)
    if url is not None:
        for text in entry_problems(index_entry(url, metadata)):
            findings.wrong.append(f"entry: {text}")
    return findings


def cmake_metadata(text: str) -> dict[str, str]:
    """EXTENSION_... variables of a CMakeLists.txt without their prefix, and the project's name."""
    found = dict(re.findall(r'^set\(EXTENSION_(\w+) "(.*?)"\)', text, re.M | re.S))
    project = re.search(r"^project\((\w+)\)", text, re.M)
    return found | {"PROJECT": project[1] if project else ""}


def check_metadata(findings: Findings, metadata: dict[str, str], url: str | None) -> None:
    findings.need(metadata["PROJECT"] == NAME, f"project is {metadata['PROJECT']!r}, not {NAME}")
    description = metadata.get("DESCRIPTION", "")
    findings.need(description, "EXTENSION_DESCRIPTION is empty")
    findings.need("\n" not in description, "EXTENSION_DESCRIPTION has a line break")
    findings.need(
        len(description) <= LONGEST_DESCRIPTION,
        f"EXTENSION_DESCRIPTION has {len(description)} characters, at most {LONGEST_DESCRIPTION}",
    )
    findings.need(metadata.get("CONTRIBUTORS"), "EXTENSION_CONTRIBUTORS is empty")
    findings.need(metadata.get("DEPENDS") == "PyTorch", "EXTENSION_DEPENDS is not PyTorch")
    for key in ("HOMEPAGE", "ICONURL", "SCREENSHOTURLS"):
        values = metadata.get(key, "").split()
        if not values and url is None:
            findings.open.append(f"EXTENSION_{key} waits for the public address")
        elif not values:
            wanted = " ".join(addresses(url)[key])
            findings.wrong.append(f'EXTENSION_{key} is empty; with this address: "{wanted}"')
        for value in values:
            is_address = re.fullmatch(r"https://[\w.-]+\.[a-z]+/\S+", value)
            is_real = is_address and not re.search(r"example\.|OWNER|REPOSITORY", value)
            findings.need(is_real, f"EXTENSION_{key}: {value!r} is no public https address")


def addresses(url: str) -> dict[str, list[str]]:
    """What the three fields hold for a repository on GitHub."""
    raw = url.removesuffix(".git").replace("github.com", "raw.githubusercontent.com") + "/main/"
    return {
        "HOMEPAGE": [url.removesuffix(".git")],
        "ICONURL": [f"{raw}Resources/Icons/{NAME}.png"],
        "SCREENSHOTURLS": [f"{raw}Resources/Screenshots/{NAME}.png"],
    }


def check_module(findings: Findings, repository: Path, metadata: dict[str, str]) -> None:
    source = (repository / NAME / f"{NAME}.py").read_text(encoding="utf-8")
    findings.need(f'categories = ["{CATEGORY}"]' in source, f"the module is not in {CATEGORY}")
    for kind in ("", "Widget", "Logic", "Test"):
        findings.need(
            re.search(rf"(class|import) {NAME}{kind}\b", source),
            f"{NAME}.py has no {NAME}{kind}, for which Slicer looks",
        )
    for word in ("helpText", "acknowledgementText", "contributors"):
        findings.need(f"self.parent.{word} = " in source, f"the module sets no {word}")


def check_pictures(findings: Findings, repository: Path) -> None:
    icon = repository / "Resources" / "Icons" / f"{NAME}.png"
    findings.need(
        icon.is_file() and png_size(icon) == ICON_SIZE, f"{icon.name} is no PNG of 128 x 128 pixels"
    )
    screenshots = sorted((repository / "Resources" / "Screenshots").glob("*.png"))
    names = [file.name for file in screenshots]
    findings.need(f"{NAME}.png" in names, f"there is no screenshot {NAME}.png")
    for file in screenshots:
        findings.need(png_size(file) is not None, f"{file.name} is no PNG file")


def png_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels; None for what is no PNG file."""
    head = path.read_bytes()[:24]
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    return struct.unpack(">II", head[16:24])


def check_texts(findings: Findings, repository: Path) -> None:
    license_file, readme = repository / "LICENSE", repository / "README.md"
    findings.need(
        license_file.is_file() and license_file.read_text(encoding="utf-8").startswith("MIT"),
        "LICENSE is not the MIT license",
    )
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    for word in README_WORDS:
        findings.need(word in text, f"README.md does not say {word!r}")
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        findings.need((repository / target).exists(), f"README.md leads to {target}, not there")


def check_files(findings: Findings, repository: Path) -> None:
    listed = git(repository, "ls-files", "-z", "--stage").split("\0")
    if not git(repository, "rev-parse", "--git-dir"):
        findings.open.append("files were not looked at: this is no clone")
        return
    for entry in filter(None, listed):
        mode, path = entry.split(" ", 1)[0], entry.split("\t", 1)[1]
        findings.need(mode != "160000", f"{path} is a submodule")
        findings.need(mode != "120000", f"{path} is a link")
        findings.need(not path.lower().endswith(FORBIDDEN_ENDINGS), f"{path} is of a kind left out")
    sizes = dict(
        re.findall(r"^(size|size-pack): (\d+)$", git(repository, "count-objects", "-v"), re.M)
    )
    total = 1024 * sum(map(int, sizes.values()))
    findings.need(
        total <= LARGEST_GIT_FOLDER,
        f"the history has {total / 1e6:.0f} MB, at most {LARGEST_GIT_FOLDER / 1e6:.0f} are taken",
    )


def git(repository: Path, *arguments: str) -> str:
    """What git prints; empty where it fails."""
    command = ["git", "-C", str(repository), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def index_entry(url: str, metadata: dict[str, str]) -> dict[str, Any]:
    """The file AnatoMaskGAN.json of the index."""
    return {
        "$schema": SCHEMA,
        "build_dependencies": metadata.get("DEPENDS", "").split(),
        "build_subdirectory": ".",
        "category": CATEGORY,
        "scm_revision": "main",
        "scm_url": url,
        "tier": 1,
    }


def entry_problems(entry: dict[str, Any]) -> list[str]:
    """What the index's schema has against an entry."""
    problems = [
        f"there is no {key}" for key, (_, must) in ENTRY_FIELDS.items() if must and key not in entry
    ]
    for key, value in entry.items():
        if key not in ENTRY_FIELDS:
            problems.append(f"{key} is no field of the schema")
        elif type(value) is not ENTRY_FIELDS[key][0]:
            problems.append(f"{key} is {value!r}; expected {ENTRY_FIELDS[key][0].__name__}")
    if not re.fullmatch(r"https://[\w.-]+\.[a-z]+/[\w.-]+/[\w.-]+", str(entry.get("scm_url"))):
        problems.append(f"scm_url {entry.get('scm_url')!r} is no public https address")
    if type(entry.get("tier", 1)) is int and not 1 <= entry.get("tier", 1) <= 5:
        problems.append(f"tier is {entry['tier']}; expected 1 to 5")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="public https address of the repository")
    parser.add_argument("--entry", type=Path, help="file to write the index entry to")
    options = parser.parse_args()
    if options.entry is not None and options.url is None:
        parser.error("--entry needs --url")
    findings = check(REPOSITORY, options.url)
    for text in findings.wrong:
        print(f"wrong: {text}")
    for text in findings.open:
        print(f"open: {text}")
    if options.entry is not None:
        metadata = cmake_metadata((REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8"))
        text = json.dumps(index_entry(options.url, metadata), indent=2)
        options.entry.write_text(text + "\n", encoding="utf-8")
        print(f"wrote {options.entry}")
    print(f"{len(findings.wrong)} wrong, {len(findings.open)} open")
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
