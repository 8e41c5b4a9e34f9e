"""What the README and the pages say is so: commands parse, names and paths exist, links lead somewhere.

A command is a line of a code block that begins with `diffusion2` or `torchrun … -m diffusion2`. A remark
after ` #` is left out, `\\` at the end of a line joins it with the next, and words in capitals (ASSETS, DIR)
stand for paths. Notes (docs/notes) tell of earlier versions: of them only links and lines are checked.
"""

import dataclasses
import importlib
import re
import shlex
from pathlib import Path

import pytest

import diffusion2
from diffusion2.cli import parse
from diffusion2.config import ReconstructionSettings, SamplingSettings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "diffusion2"
NOTES = sorted((ROOT / "docs" / "notes").glob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page not in NOTES),
]
WIDTH = 110
MADE = re.compile(r"<!-- begin (\w+) -->\n.*?<!-- end \1 -->", re.DOTALL)


def code_and_prose(text: str) -> tuple[str, str]:
    """Split a page: its blocks of code, fenced or indented by four spaces, and everything else."""
    code, prose, fenced, above = [], [], False, ""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or (line.startswith("    ") and (not above.strip() or (code and code[-1] == above))):
            code.append(line)
        else:
            prose.append(line)
        above = line
    return "\n".join(code), "\n".join(prose)


def commands(start: str) -> list[str]:
    """All lines of code blocks that begin with a word, each once, whole and without remarks."""
    found = {}
    for page in PAGES:
        code = code_and_prose(page.read_text(encoding="utf-8"))[0].replace("\\\n", " ")
        for line in code.splitlines():
            if re.match(rf"\s*(\S+=\S+ )?{start} ", line):
                found[re.sub(r"\s+#.*", "", line).strip()] = None
    return list(found)


def arguments(command: str) -> list[str]:
    words = shlex.split(command)
    after = words.index("-m") + 2 if words[0] == "torchrun" else 1
    return words[after:]


OURS = commands("diffusion2") + commands("torchrun")
BENCHMARKS = commands("python benchmarks/\\S+")


def test_the_pages_have_commands():
    assert len(OURS) > 40
    assert len(BENCHMARKS) > 3


@pytest.mark.parametrize("command", OURS)
def test_every_command_is_one_that_can_be_given(command):
    assert parse(arguments(command)) is not None


@pytest.mark.parametrize("command", BENCHMARKS)
def test_every_benchmark_has_the_options_that_are_named(command, monkeypatch):
    words = shlex.split(command)
    words = words[words.index("python") + 1 :]
    text = (ROOT / words[0]).read_text(encoding="utf-8")
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert f'"{option}"' in text, option


def inline() -> list[tuple[Path, str]]:
    """Everything in backticks outside of blocks of code."""
    return [
        (page, " ".join(word.split()))
        for page in PAGES
        for word in re.findall(r"`([^`]+)`", code_and_prose(page.read_text(encoding="utf-8"))[1])
    ]


def test_commands_inside_sentences_exist():
    for page, word in inline():
        if word.startswith("diffusion2 ") and word.split()[1].isalpha():
            with pytest.raises(diffusion2.InputError) as refused:
                parse([word.split()[1], "--no-such-option"])
            assert "invalid choice" not in str(refused.value), f"{page}: {word}"


def test_options_inside_sentences_exist():
    known = {
        f"{prefix}.{field.name.replace('_', '-')}"
        for prefix, settings in (("sampling", SamplingSettings), ("reconstruction", ReconstructionSettings))
        for field in dataclasses.fields(settings)
    }
    for page, word in inline():
        for option in re.findall(r"--((?:sampling|reconstruction)\.[a-z0-9-]+)", word):
            assert option in known, f"{page}: --{option}"


def test_modules_and_names_exist():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in set(re.findall(r"\bdiffusion2(?:\.[A-Za-z_]\w*)+", text)):
            assert exists(name), f"{page}: {name}"


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something that can be reached from one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


def test_files_that_are_named_exist():
    """`priors/prior.py` and `exporters/`: of the package, of the repository, or beside the page."""
    rooms = {"src", "docs", "tests", "benchmarks", *(path.name for path in PACKAGE.iterdir())}
    for page, word in inline():
        for name in re.findall(r"^[\w./]+(?:\.py|/)(?=$|\s)", word.removeprefix("python ")):
            if name.split("/")[0] in rooms or name.endswith(".py"):
                places = (PACKAGE / name, ROOT / name, page.parent / name)
                places += tuple(PACKAGE.rglob(name))
                assert any(place.exists() for place in places), f"{page}: {name}"


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", [*PAGES, *NOTES], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


@pytest.mark.parametrize("page", [*PAGES, *NOTES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_lines_of_prose_are_short(page):
    prose = code_and_prose(MADE.sub("", page.read_text(encoding="utf-8")))[1]
    for line in prose.splitlines():
        assert len(line) <= WIDTH or line.startswith(("|", "![")), line


def test_every_picture_is_shown_somewhere():
    shown = "".join(page.read_text(encoding="utf-8") for page in [*PAGES, *NOTES])
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name})" in shown, picture.name


def test_every_page_is_in_the_navigation():
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert f": {page.relative_to(ROOT / 'docs').as_posix()}" in listed, page
