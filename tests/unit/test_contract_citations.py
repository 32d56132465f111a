"""Whatever rule code, tests and documentation cite stands in `docs/contract/` under its number.

A citation is one of these, the name of a document first; several numbers are joined by commas or
by `to`:

- `<document> contract 8.5`: a section, whose heading begins with the number;
- `<document> contract 8.7 row 3` (or `step`, `rule`): a numbered line in that section;
- `<document> contract R7`: a rule that has a name, as a heading or in the first cell of a row;
- `<document> scenario 39`: a line of the table "Scenarios".
"""

import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "docs" / "contract"
DOCUMENTS = ("cms", "delivery", "formats", "lifecycle", "resources", "routing", "store")
FOLDERS = ("apps", "benchmarks", "docs", "formatters", "tests", "transmitters")

NUMBER = r"\d+(?:\.\d+)*"
NAME = r"[A-Z]+\d+[a-z]?"
LINES = r"(?:row|step|rule)(?:\s+\d+|s\s+\d+(?:(?:,|\s+to)\s+\d+)*)"
ITEM = rf"(?:{NUMBER}|{NAME})\b(?:\s+{LINES})?"
CITATION = re.compile(
    rf"\b([A-Za-z]+)\s+(contract|[Ss]cenario)\s+({ITEM}(?:(?:,|\s+to)\s+{ITEM})*)"
)
PART = re.compile(rf"(to\s+)?({NUMBER}|{NAME})\b(?:\s+({LINES}))?")

OTHER_FORMS = re.compile(
    r"\bcontract,?\s+(?:section\s+)?\d+"
    r"|(?<!RFC\s\d{4},\s)\b[Ss]ections?\s+\d+"
    r"|\b(?:[Ss]cenarios?|[Cc]hecklist)\s+[A-Z]?\d+"
    rf"|\b(?:{'|'.join((*DOCUMENTS, *map(str.title, DOCUMENTS)))})\s+(?:\d+|{NAME}\b)"
    r"|§"
    r"|(?:\(|\A|\n\s*\n\s*)(?:[Rr]ules?\s+)?[OCPRF]\d{1,2}[a-z]?[:,)]"
    r"|\(\d+\.\d+\)"
    r"|\A(?:\d{1,2}(?:,\s+\d{1,2})*|\d+\.\d+):\s"
)
"""Forms that name no document, so that nobody, and no test, can look them up."""

OWN_SECTION = re.compile(r"\b[Ss]ections?\s(?=\d)|(?<=\()(?=\d+\.\d+\b)")
HEADING = re.compile(rf"#+\s+(?:({NUMBER}|{NAME})\b)?(.*)")
FIRST_CELL = re.compile(r"\|\s*([^|]*?)\s*\|")
LIST_ITEM = re.compile(r"(\d+)\.\s")


@dataclass
class Document:
    """What can be cited of one document."""

    sections: dict[str, set[str]] = field(default_factory=dict)
    """Number of a section to the numbers of its lines."""
    names: set[str] = field(default_factory=set)
    scenarios: set[str] = field(default_factory=set)

    def lacks(self, kind: str, number: str, line: str | None) -> str:
        """Return what is not there of a citation; empty where all is there."""
        if kind == "scenario":
            return "" if number in self.scenarios else f"no scenario {number}"
        if number in self.names:
            return ""
        if number not in self.sections:
            return f"no section or rule {number}"
        if line is not None and line not in self.sections[number]:
            return f"no line {line} in section {number}"
        return ""


def read_document(text: str) -> Document:
    """Return what can be cited of a document.

    Raises:
        ValueError: a section has the number of another one.
    """
    document, lines = Document(), set[str]()
    for row in text.splitlines():
        if heading := HEADING.match(row):
            number, title = heading.groups()
            if "Scenarios" in title:
                lines = document.scenarios
            elif number and number[0].isalpha():
                document.names.add(number)
            elif number:
                if number in document.sections:
                    raise ValueError(f"two sections have the number {number}")
                lines = document.sections[number] = set()
        elif cell := FIRST_CELL.match(row):
            cited = {word.strip("*` ") for word in cell[1].split(",")}
            lines |= {word for word in cited if re.fullmatch(rf"\d+|{NAME}", word)}
            if lines is not document.scenarios:
                document.names |= {word for word in cited if re.fullmatch(NAME, word)}
        elif item := LIST_ITEM.match(row):
            lines.add(item[1])
    return document


def range_of(first: str, last: str) -> Iterator[str]:
    """Yield what lies between two numbers that differ at their end, the last one included."""
    stem, start = re.fullmatch(r"(.*?)(\d+)", first).groups()
    end = re.fullmatch(r".*?(\d+)", last)[1]
    yield from (f"{stem}{number}" for number in range(int(start) + 1, int(end) + 1))


def numbers_in(text: str) -> Iterator[str]:
    """Yield the numbers of a list such as `3, 5 to 8`."""
    previous = ""
    for upto, number in re.findall(r"(to\s+)?(\d+)", text):
        yield from range_of(previous, number) if upto else (number,)
        previous = number


def cited_in(text: str) -> Iterator[tuple[int, str, str, str, str | None]]:
    """Yield the place, the document, the kind, the number and the line of each citation."""
    for match in CITATION.finditer(text):
        name, kind, items = match[1].lower(), match[2].lower(), match[3]
        previous = ""
        for upto, number, lines in PART.findall(items):
            for each in range_of(previous, number) if upto else (number,):
                for line in list(numbers_in(lines)) or (None,):
                    yield match.start(), name, kind, each, line
            previous = number


def complaints(text: str, documents: Mapping[str, Document]) -> Iterator[tuple[int, str]]:
    """Yield the place and the text of what is wrong with the citations in `text`."""
    for place, name, kind, number, line in cited_in(text):
        if name in DOCUMENTS:
            lacking = (
                documents[name].lacks(kind, number, line)
                if name in documents
                else "no such document"
            )
            if lacking:
                yield place, f"{name}: {lacking}"


def other_forms(text: str) -> Iterator[tuple[int, str]]:
    """Yield the place and the text of citations in any other form."""
    blanked = CITATION.sub(
        lambda match: "~" * len(match[0]) if match[1].lower() in DOCUMENTS else match[0], text
    )
    for match in OTHER_FORMS.finditer(blanked):
        yield match.start(), f"{' '.join(match[0].split())!r} names no document"


def texts_in(source: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the first line and the text of each comment and string of a module.

    Comments that follow each other are one text. The last value tells whether it is prose, that is
    a comment or a docstring.
    """
    comment: list[str] = []
    begin, fresh = 0, True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if comment and token.start[0] != begin + len(comment):
                yield begin, "\n".join(comment), True
                comment = []
            begin = begin if comment else token.start[0]
            comment.append(token.string.lstrip("# "))
        elif token.type in (tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)):
            yield token.start[0], token.string.strip("\"'"), fresh
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            structure = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)
            fresh = token.type in structure
    if comment:
        yield begin, "\n".join(comment), True


def in_module(source: str, documents: Mapping[str, Document]) -> list[tuple[int, str]]:
    """Return line and text of what is wrong in a Python module, by line."""
    wrong = []
    for begin, text, prose in texts_in(source):
        found = [*complaints(text, documents), *(other_forms(text) if prose else ())]
        wrong += [(begin + text.count("\n", 0, place), said) for place, said in found]
    return sorted(wrong)


def in_page(text: str, documents: Mapping[str, Document], own: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of what is wrong in a page of the documentation.

    A page of `docs/contract/` cites its own sections as `section 8.5` or `(8.5)`.
    """
    if own in documents:
        text = OWN_SECTION.sub(f"{own} contract ", text)
    for place, said in complaints(text, documents):
        yield text.count("\n", 0, place) + 1, said
    if own not in documents:
        for place, said in other_forms(text):
            yield text.count("\n", 0, place) + 1, said


def files() -> Iterator[Path]:
    """Yield all that may cite, apart from this test and its examples."""
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob("*.py")
        yield from (ROOT / folder).rglob("*.md")
    yield from ROOT.glob("*.py")
    yield from ROOT.glob("*.md")


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    """Return the documents that are there."""
    return {
        name: read_document((CONTRACT / f"{name}.md").read_text("utf-8"))
        for name in DOCUMENTS
        if (CONTRACT / f"{name}.md").exists()
    }


def test_what_is_cited_is_there(documents: dict[str, Document]) -> None:
    """No citation leads nowhere, and each names its document."""
    wrong = []
    for path in sorted(files()):
        if path == Path(__file__):
            continue
        text = path.read_text("utf-8")
        own = path.stem if path.parent == CONTRACT else ""
        found = (
            in_module(text, documents) if path.suffix == ".py" else in_page(text, documents, own)
        )
        wrong += [f"{path.relative_to(ROOT)}:{line}: {said}" for line, said in found]

    assert not wrong, "\n".join(wrong)


def test_every_rule_of_deliveries_is_shown(documents: dict[str, Document]) -> None:
    """Some test cites each rule that has a name, and each scenario.

    Those of the ecosystem (E) are a table of what shows them.
    """
    shown: set[tuple[str, str]] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if path == Path(__file__):
            continue
        for _, text, _ in texts_in(path.read_text("utf-8")):
            cited = cited_in(text)
            shown |= {(kind, number) for _, name, kind, number, _ in cited if name == "delivery"}
    known = documents["delivery"]
    rules = {("contract", name) for name in known.names if re.fullmatch("(?!E)" + NAME, name)}
    wanted = rules | {("scenario", number) for number in known.scenarios}

    assert sorted(wanted - shown) == []


ROUTING = """
# Routing

## 8 Enqueue

| step | what |
|---|---|
| 1 | claim |

### 8.1 Failures

1. one
2. two

| rule | what |
|---|---|
| R1 | lease |
| R2 | key |

## Scenarios

| | what |
|---|---|
| 7 | never deleted |
| 8, 9 | secrets |
"""


@pytest.mark.parametrize(
    "text",
    [
        "routing contract 8",
        "Routing contract 8.1; routing scenario 7, 8 to 9.",
        "(routing contract 8 step 1, 8.1 rules 1, 2, R1 to R2)",
        "Routing\n    contract 8.1: over the end of a line",
    ],
)
def test_citations_that_are_there(text: str) -> None:
    """Sections, lines, rules and scenarios are found, lists and ranges of them too."""
    known = {"routing": read_document(ROUTING)}

    assert [*complaints(text, known), *other_forms(text)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("routing contract 8.2", "routing: no section or rule 8.2"),
        ("routing contract 8, 9", "routing: no section or rule 9"),
        ("routing contract R1 to R3", "routing: no section or rule R3"),
        ("routing contract 8 to 9", "routing: no section or rule 9"),
        ("routing contract 8 step 2", "routing: no line 2 in section 8"),
        ("routing contract 8.1 rows 2, 3", "routing: no line 3 in section 8.1"),
        ("routing contract 7", "routing: no section or rule 7"),
        ("routing scenario 10", "routing: no scenario 10"),
        ("routing scenario 1", "routing: no scenario 1"),
        ("delivery contract 1", "delivery: no such document"),
    ],
)
def test_citations_that_lead_nowhere(text: str, said: str) -> None:
    """Each kind of citation is missed where it is not there."""
    known = {"routing": read_document(ROUTING)}

    assert [found for _, found in complaints(text, known)] == [said]


@pytest.mark.parametrize(
    "text",
    [
        "Scenario 12: what cannot be evaluated",
        "routing scenarios 7 and 8",
        "as the contract 8.1 says",
        "(contract, 8.1)",
        "routing contract, 8.1",
        "routing contract section 8",
        "Routing 8.1: the text",
        "(section 5)",
        "Checklist 66",
        "§8.1: the text",
        "R7: the text",
        "the text (rule P1)",
        "the text (8.1)",
        "8.1: the text",
        "26, 38: the text",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    """What names no document is told with what it says."""
    assert len(list(other_forms(text))) == 1


@pytest.mark.parametrize(
    "text",
    ["The routing contract has it.", "RFC 6721, section 2", "404: gone", "1.5 steps", "S3: a name"],
)
def test_what_is_no_citation(text: str) -> None:
    """Prose about documents, other people's standards and other numbers are left alone."""
    assert list(other_forms(text)) == []


def test_the_line_is_named() -> None:
    """In docstrings, comments over several lines and strings."""
    source = dedent('''\
        """A module.

        Routing contract 8.9.
        """
        # Comments go on (routing
        # contract 8.8), as here.
        TEXT = "routing contract 8.7", "scenario 1"


        def f() -> None:
            """Scenario 12."""
    ''')

    assert in_module(source, {"routing": read_document(ROUTING)}) == [
        (3, "routing: no section or rule 8.9"),
        (5, "routing: no section or rule 8.8"),
        (7, "routing: no section or rule 8.7"),
        (11, "'Scenario 12' names no document"),
    ]


def test_documents_cite_themselves() -> None:
    """By section, or by the number in brackets; another document by its name."""
    text = "See section 8.1.\nSee sections 8, 8.2 (8.1).\nAs above (8.3).\nSee delivery contract 1."

    assert list(in_page(text, {"routing": read_document(ROUTING)}, "routing")) == [
        (2, "routing: no section or rule 8.2"),
        (3, "routing: no section or rule 8.3"),
        (4, "delivery: no such document"),
    ]


def test_numbers_stand_once() -> None:
    """Two sections of one number could not be told apart."""
    with pytest.raises(ValueError, match=r"the number 8\.1"):
        read_document("## 8.1 One\n## 8.1 Another\n")
