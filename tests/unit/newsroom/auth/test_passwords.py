"""Rules of passwords, and what looking at one costs."""

from typing import Any

import bcrypt
import pytest

from apps.core.errors import ConfigurationError, SchemaIssues
from apps.newsroom.auth.passwords import Passwords, hash_password, is_hash


def passwords(work_factor: int = 4, min_length: int | None = None) -> Passwords:
    return Passwords({"BCRYPT_GENSALT_WORK_FACTOR": work_factor, "PASSWORD_MIN_LENGTH": min_length})


class TestNew:
    @pytest.mark.parametrize(
        "password",
        ["12345", "ä" * 36, "a" * 72, "  spaces  ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", hash_password("x", 4)],
        ids=["short", "two bytes each", "longest", "spaces", "four bytes each", "a hash"],
    )
    def test_is_hashed_whatever_it_looks_like(self, password: str) -> None:
        """What is stored is a hash of the text, and lets in who knows the text."""
        stored = passwords().hash_new(password[:72])

        assert is_hash(stored)
        assert stored != password
        assert passwords().matches(password, stored)

    @pytest.mark.parametrize(
        ("password", "issue"),
        [
            ("", {"minlength": 1}),
            ("1234", {"minlength": 1}),
            ("a" * 73, "max length is 72 bytes"),
            ("ä" * 37, "max length is 72 bytes"),
            ("a" * 1_000_000, "max length is 72 bytes"),
            ("nul\0nul", "must be a text without NUL"),
            ("\0" * 5, "must be a text without NUL"),
            ("half \ud800 pair", "must be a text without NUL"),
        ],
    )
    def test_is_refused(self, password: str, issue: Any) -> None:
        """Each fault is told under the name of the field."""
        with pytest.raises(SchemaIssues) as caught:
            passwords().hash_new(password, "new_password")

        assert {"new_password": issue} == caught.value.payload

    @pytest.mark.parametrize(
        ("setting", "minimum", "length", "is_taken"),
        [
            (None, 5, 4, False),
            (None, 5, 5, True),
            (None, 1, 1, True),
            (12, 5, 11, False),
            (12, 1, 11, False),
            (12, 5, 12, True),
            (1, 5, 1, True),
        ],
    )
    def test_has_the_length_of_the_setting(
        self, setting: int | None, minimum: int, length: int, is_taken: bool
    ) -> None:
        """Where it is set, it counts alone."""
        rules = passwords(min_length=setting)
        if is_taken:
            assert rules.hash_new("x" * length, min_length=minimum)
        else:
            with pytest.raises(SchemaIssues):
                rules.hash_new("x" * length, min_length=minimum)


@pytest.mark.parametrize(
    ("work_factor", "min_length"), [(3, None), (32, None), (0, None), (4, 0), (4, -1), (4, 73)]
)
def test_settings_that_make_no_sense(work_factor: int, min_length: int | None) -> None:
    """The process does not start with them."""
    with pytest.raises(ConfigurationError):
        passwords(work_factor, min_length)


class TestMatch:
    def test_of_a_hash_that_others_cut_off(self) -> None:
        """Long passwords of systems that hash their first 72 bytes still log in."""
        stored = hash_password("a" * 72, 4)

        assert passwords().matches("a" * 100, stored)

    @pytest.mark.parametrize("version", ["2a", "2b", "2y"])
    def test_of_other_versions(self, version: str) -> None:
        """Hashes of other implementations are read."""
        assert passwords().matches("secret", hash_password("secret", 4).replace("2b", version, 1))

    @pytest.mark.parametrize(
        "stored",
        [
            None,
            "",
            5,
            ["$2b$04$"],
            "secret",
            "$2b$04$short",
            "$2b$99$" + "a" * 53,
            "$2b$xx$" + "a" * 53,
            "$2b$04$" + "ä" * 53,
            "$2b$04$" + "a" * 53 + "\n",
            "pbkdf2:sha256$" + "a" * 46,
        ],
    )
    @pytest.mark.parametrize("password", ["secret", "", "nul\0", "\ud800", "x" * 1000])
    def test_of_what_is_no_hash(self, stored: Any, password: str) -> None:
        """Nobody is let in, and nothing breaks."""
        assert not passwords().matches(password, stored)

    def test_of_the_text_of_the_hash(self) -> None:
        """Who has read a hash knows no password."""
        stored = hash_password("secret", 4)

        assert not passwords().matches(stored, stored)


class TestCost:
    @pytest.mark.parametrize("work_factor", [4, 5, 6, 8])
    @pytest.mark.parametrize(
        "stored",
        [
            None,
            "",
            "no hash",
            hash_password("secret", 4),
            hash_password("other", 4),
            hash_password("other", 5),
        ],
        ids=["none", "empty", "no hash", "right", "wrong", "wrong of factor 5"],
    )
    def test_is_the_same_for_everybody(
        self, monkeypatch: pytest.MonkeyPatch, work_factor: int, stored: Any
    ) -> None:
        """Names that nobody has, users without a password and hashes of lower factors."""
        rounds = []

        def counting(password: bytes, hashed: bytes, check: Any = bcrypt.checkpw) -> Any:
            rounds.append(2 ** int(hashed[4:6]))
            return check(password, hashed)

        monkeypatch.setattr(bcrypt, "checkpw", counting)
        passwords(work_factor).matches("secret", stored)

        lowest = 5 if is_hash(stored) and stored[4:6] == "05" else 4
        assert 2 ** max(work_factor, lowest) == sum(rounds)


class TestRenewal:
    @pytest.mark.parametrize(("before", "after"), [(4, 6), (6, 4)])
    def test_of_another_work_factor(self, before: int, after: int) -> None:
        renewed = passwords(after).renewed("secret", hash_password("secret", before))

        assert renewed is not None
        assert f"$2b${after:02d}$" == renewed[:7]
        assert passwords(after).matches("secret", renewed)

    def test_of_the_same_one(self) -> None:
        assert passwords(4).renewed("secret", hash_password("secret", 4)) is None
