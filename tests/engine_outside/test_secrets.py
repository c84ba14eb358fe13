import time

import pytest

from heliostat.engine.stackerrors import PassphraseError, StackError
from heliostat.engine.state import secrets
from heliostat.engine.state.secrets import Crypter, Keyring, read_passphrase

# Made with `openssl kdf` (PBKDF2, SHA-256, 1,000,000 iterations) and AES-256-GCM, not with the code under test.
SALT = "v1:AAECAwQFBgc=:v1:AAECAwQFBgcICQoL:wvGSULJTreXs29+TyS5cmx0DG7U/xQ=="
CIPHERTEXT = "v1:AQIDBAUGBwgJCgsM:BbmwehkwM1nq2qQ785tre4lnNbwDupr402os"
PASSPHRASE = "open sesame"


@pytest.fixture(scope="module")
def crypter():
    made = Crypter(SALT, PASSPHRASE)
    made.verify()
    return made


def test_a_ciphertext_made_elsewhere_is_read(crypter):
    assert crypter.decrypt(CIPHERTEXT) == '"geheim ü"'


def test_what_is_encrypted_can_be_decrypted_and_looks_as_the_cli_writes_it(crypter):
    made = crypter.encrypt("value")
    version, nonce, message = made.split(":")
    assert version == "v1"
    assert len(nonce) == 16
    assert message
    assert crypter.decrypt(made) == "value"


def test_an_unchanged_secret_keeps_its_ciphertext_and_a_changed_one_does_not(crypter):
    fresh = crypter.encrypt("one", "place")
    assert crypter.encrypt("one", "place") == fresh
    assert crypter.encrypt("two", "place") != fresh
    read = crypter.encrypt("read from a file")
    assert crypter.decrypt(read, "elsewhere") == "read from a file"
    assert crypter.encrypt("read from a file", "elsewhere") == read


def test_equal_secrets_in_two_places_do_not_show_that_they_are_equal(crypter):
    assert crypter.encrypt("same", "a") != crypter.encrypt("same", "b")


def test_a_new_salt_is_verified_by_its_passphrase_and_by_no_other():
    salt = Crypter.new("right").salt
    Crypter(salt, "right").verify()
    with pytest.raises(PassphraseError, match="incorrect passphrase"):
        Crypter(salt, "wrong").verify()


def test_the_key_is_not_made_before_a_secret_needs_it(monkeypatch):
    monkeypatch.setattr(secrets, "_derive", lambda *_: pytest.fail("no secret was asked for"))
    assert Keyring({"PULUMI_CONFIG_PASSPHRASE": "x"}).of(SALT).salt == SALT


def test_a_prepared_key_is_made_once_beside_other_work(monkeypatch):
    calls = []

    def slow(passphrase, salt):
        calls.append(passphrase)
        time.sleep(0.05)
        return b"k" * 32

    monkeypatch.setattr(secrets, "_derive", slow)
    made = Crypter(SALT, PASSPHRASE)
    made.prepare()
    made.prepare()
    with pytest.raises(PassphraseError):  # this key is none of the salt's
        made.verify()
    assert calls == [PASSPHRASE]


DAMAGED = ["v1:AQIDBAUGBwgJCgsM", "v2:a:b", "v1:!:?", "v1:AQID:BbmwehkwM1nq", CIPHERTEXT[:-4] + "AAAA"]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_ciphertext_names_its_place_and_shows_nothing(crypter, damaged):
    with pytest.raises(StackError, match=r"a secret at urn:x outputs\.password cannot be decrypted") as caught:
        crypter.decrypt(damaged, "urn:x outputs.password")
    assert PASSPHRASE not in str(caught.value)


@pytest.mark.parametrize("salt", ["", "v2:a:b", "v1:", "v1:!!:v1:x:y", "AAECAwQFBgc="])
def test_a_malformed_salt_is_refused_with_the_form_that_it_should_have(salt):
    with pytest.raises(StackError, match="v1:SALT:v1:NONCE:MESSAGE"):
        Crypter(salt, "x")


def test_the_passphrase_is_the_variables_or_the_files_without_its_newline(tmp_path):
    file = tmp_path / "phrase"
    file.write_text("from file\n")
    assert read_passphrase({"PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}) == ""
    assert read_passphrase({"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}) == "from file"
    with pytest.raises(PassphraseError, match="PULUMI_CONFIG_PASSPHRASE"):
        read_passphrase({})
    with pytest.raises(PassphraseError, match=r"cannot read the passphrase from .*missing"):
        read_passphrase({"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "missing")})


def test_whoever_sits_at_the_terminal_is_asked_once_and_only_without_a_variable():
    asked = []
    keyring = Keyring({}, lambda: asked.append(1) or "typed")
    keyring.of(SALT)
    keyring.of(SALT.replace("AAEC", "BBEC"))
    assert asked == [1]
    Keyring({"PULUMI_CONFIG_PASSPHRASE": "set"}, lambda: pytest.fail("it was set")).of(SALT)
