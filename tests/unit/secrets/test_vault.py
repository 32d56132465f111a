"""Encryption of secrets, and the key file."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

import settings as settings_module
from apps.core.errors import ConfigurationError
from apps.secrets import key_file
from apps.secrets.vault import UnreadableSecret, Vault, is_encrypted

KEYS = [Fernet.generate_key().decode() for _ in range(2)]
NOWHERE = Path("/nonexistent")


@given(st.one_of(st.text(), st.integers(-(2**31), 2**31), st.none(), st.lists(st.text())))
def test_decrypts_what_it_encrypted(value: Any) -> None:
    """Whatever JSON holds, also text that looks encrypted already."""
    vault = Vault(KEYS, NOWHERE)

    stored = vault.encrypt(value)

    assert is_encrypted(stored)
    assert value == vault.decrypt(stored)
    assert vault.decrypt(vault.decrypt(vault.encrypt(stored))) == value


@pytest.mark.parametrize("value", ["plain", "", 7, None, "enc:v2:x"])
def test_plain_values_pass(value: Any) -> None:
    """Values without the mark are what they are."""
    assert value == Vault(KEYS, NOWHERE).decrypt(value)


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    """Keys are listed newest first."""
    old, both, new = (Vault(keys, NOWHERE) for keys in (KEYS[1:], KEYS, KEYS[:1]))

    assert "a" == both.decrypt(old.encrypt("a"))
    assert "a" == new.decrypt(both.renew(old.encrypt("a")))


@pytest.mark.parametrize("value", ["enc:v1:", "enc:v1:x", "enc:v1:ü", f"enc:v1:{'A' * 120}"])
def test_damaged_values_are_refused(value: str) -> None:
    """What is no token of ours is unreadable, not a crash."""
    with pytest.raises(UnreadableSecret):
        Vault(KEYS, NOWHERE).decrypt(value)


def test_bad_keys_are_not_shown() -> None:
    """The message tells which key is bad, not what it says."""
    with pytest.raises(ConfigurationError) as caught:
        Vault([KEYS[0], "my passphrase"], NOWHERE)

    assert "number 2" in str(caught.value)
    assert "passphrase" not in str(caught.value)


class TestKeyFile:
    def test_is_made_for_the_first_secret(self, tmp_path: Path) -> None:
        """Reading makes none; the file is for its owner only and serves the next process."""
        directory = tmp_path / "var"
        with pytest.raises(UnreadableSecret):
            Vault([], directory).decrypt("enc:v1:x")
        assert not directory.exists()

        stored = Vault([], directory).encrypt("a")

        mode = stat.S_IMODE((directory / key_file.NAME).stat().st_mode)
        assert 0o600 == mode
        assert "a" == Vault([], directory).decrypt(stored)
        assert [key_file.NAME] == [path.name for path in directory.iterdir()]

    def test_is_the_same_for_all_who_make_it_at_once(self, tmp_path: Path) -> None:
        """The first one wins."""
        with ThreadPoolExecutor(8) as threads:
            keys = list(threads.map(lambda _: tuple(key_file.create(tmp_path)), range(16)))

        assert 1 == len(set(keys))


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [(None, []), ("", []), ("a", ["a"]), ("a, b", ["a", "b"]), ('["a", "b"]', ["a", "b"])],
)
def test_the_setting_is_a_list(given_value: str | None, expected: list[str]) -> None:
    """As JSON or separated by commas."""
    environ = {} if given_value is None else {"ENCRYPTION_KEYS": given_value}

    assert expected == settings_module.load(environ=environ)["ENCRYPTION_KEYS"]
