import hashlib
import json
import math

import pytest

from heliostat.engine.stackerrors import PassphraseError, StackError
from heliostat.engine.state import checkpoint
from heliostat.engine.state.checkpoint import Encoder, decode, parse
from heliostat.engine.state.secrets import Crypter, Keyring
from heliostat.engine.state.snapshot import (
    SECRET_SIGNATURE,
    SECRET_SIGNATURE_KEY,
    UNKNOWN,
    OperationType,
    PendingOperation,
    Resource,
    Secret,
    Snapshot,
)
from heliostat.engine.state.stored import decode_properties

URN = "urn:pulumi:dev::p::t:i:T::a"


@pytest.fixture(scope="module")
def keyring():
    return Keyring({"PULUMI_CONFIG_PASSPHRASE": "pass"})


@pytest.fixture(scope="module")
def crypter(keyring):
    return keyring.new()


def whole(snapshot, crypter, extra=None):
    encoder = Encoder("organization/p/dev", crypter, extra)
    return encoder.document(encoder.body(snapshot), checkpoint.manifest())


def read(content):
    return parse(content, "/state/dev.json", "/state/dev.json.bak")


def test_a_snapshot_comes_back_as_it_was(crypter, keyring):
    resource = Resource(
        URN,
        "t:i:T",
        custom=True,
        id="a-1",
        parent="urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev",
        provider="urn:prov::id",
        inputs={"n": 1, "f": 1.5, "none": None, "deep": [{"k": Secret({"pw": "x", "n": [1]})}], "unknown": UNKNOWN},
        outputs={"inf": math.inf, "text": "<&ü>"},
        dependencies=["urn:d"],
        property_dependencies={"n": ["urn:d"]},
        protect=True,
        custom_timeouts={"create": 60.0},
        init_errors=["sick"],
        created="2026-01-01T00:00:00Z",
        aliases=["urn:old"],
        additional_secret_outputs=["text"],
        ignore_changes=["n"],
        retain_on_delete=True,
        deleted_with="urn:w",
        delete=True,
    )
    pending = PendingOperation(Resource(URN + "2", "t:i:T", custom=True, inputs={"s": Secret("y")}), OperationType.CREATING)
    before = Snapshot([resource], [pending], metadata={"integrity_error": {"error": "x"}})
    after = decode(read(whole(before, crypter)), keyring)
    assert after.resources == before.resources
    assert after.pending_operations == before.pending_operations
    assert after.metadata == before.metadata


def test_secrets_are_not_in_the_file_and_are_marked_as_the_cli_marks_them(crypter, keyring):
    content = whole(Snapshot([Resource(URN, "t", custom=True, outputs={"pw": Secret("geheim")})]), crypter)
    assert b"geheim" not in content
    stored = json.loads(content)["checkpoint"]["latest"]["resources"][0]["outputs"]["pw"]
    assert stored[SECRET_SIGNATURE_KEY] == SECRET_SIGNATURE
    assert keyring.of(crypter.salt).decrypt(stored["ciphertext"]) == '"geheim"'


def test_fields_of_a_newer_cli_are_written_back_as_they_came(crypter, keyring):
    trace = [{"sourcePosition": "x"}]
    stored = {"urn": URN, "custom": True, "type": "t", "taint": True, "stackTrace": trace, "importID": "i"}
    latest = {"manifest": {}, "resources": [stored], "metadata": {}, "extensions": {"e": {"v": 1}}}
    document = read(json.dumps({"version": 3, "checkpoint": {"stack": "organization/p/dev", "latest": latest}}).encode())
    again = json.loads(whole(decode(document, keyring), None, document.extra))["checkpoint"]["latest"]
    assert again["resources"] == [stored]
    assert again["extensions"] == {"e": {"v": 1}}


def test_a_snapshot_that_was_read_and_is_written_again_says_the_same_bytes(crypter, keyring):
    before = Snapshot([Resource(URN, "t", custom=True, inputs={"a": Secret("x"), "b": [Secret("x")]})])
    document = read(whole(before, crypter))
    first = Encoder("organization/p/dev", Crypter(crypter.salt, "pass")).body  # another process that has read nothing
    mine = Encoder("organization/p/dev", keyring.of(document.salt)).body
    assert mine(decode(document, keyring)) == mine(decode(document, keyring))
    assert mine(decode(document, keyring)) != first(before)


def test_a_resource_that_is_the_same_object_is_encoded_once(crypter, monkeypatch):
    kept, encoded = Resource(URN, "t", custom=True), []
    real = checkpoint.encode_resource
    monkeypatch.setattr(checkpoint, "encode_resource", lambda r, hide: encoded.append(r.urn) or real(r, hide))
    encoder = Encoder("organization/p/dev", crypter)
    encoder.body(Snapshot([kept]))
    encoder.body(Snapshot([kept, Resource("urn:b", "t", custom=True)]))
    assert encoded == [URN, "urn:b"]


def test_the_manifest_has_the_digest_that_the_cli_checks():
    head = checkpoint.manifest([{"name": "conf"}])
    assert head["magic"] == hashlib.sha256(head["version"].encode()).hexdigest()
    assert head["plugins"] == [{"name": "conf"}]


def test_whole_floats_are_written_as_the_clis_json_has_them(crypter):
    content = whole(Snapshot([Resource(URN, "t", custom=True, inputs={"v": 1.0, "w": 0.5})]), crypter)
    assert b'"inputs":{"v":1,"w":0.5}' in content


def test_an_empty_stack_has_no_deployment_and_reads_as_an_empty_snapshot(keyring):
    document = read(b'{"version":0,"checkpoint":{"stack":"organization/p/dev"}}')
    assert document.deployment is None
    assert decode(document, keyring) == Snapshot()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version":3}',
        b'{"version":"3","checkpoint":{"stack":"s"}}',
        b'{"version":3,"checkpoint":{}}',
        b'{"version":3,"checkpoint":{"stack":"s","latest":{"resources":[{"type":"t"}]}}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_named_with_its_backup(content):
    with pytest.raises(StackError, match=r"/state/dev\.json .*damaged.*/state/dev\.json\.bak") as caught:
        read(content)
    assert "Nothing was changed" in str(caught.value)


@pytest.mark.parametrize("version", [2, 4, 5])
def test_another_version_is_refused_and_names_the_official_cli(version):
    content = {"version": version, "features": ["views"], "checkpoint": {"stack": "s", "latest": {"resources": []}}}
    with pytest.raises(StackError, match=f"has version {version}.*official Pulumi CLI"):
        read(json.dumps(content).encode())


def test_another_secrets_provider_is_refused():
    latest = {"secrets_providers": {"type": "service", "state": {}}}
    with pytest.raises(StackError, match="'service'"):
        read(json.dumps({"version": 3, "checkpoint": {"stack": "s", "latest": latest}}).encode())


def test_state_without_secrets_needs_no_passphrase_and_state_with_one_does(crypter):
    def decoded(outputs):
        return decode(read(whole(Snapshot([Resource(URN, "t", custom=True, outputs=outputs)]), crypter)), Keyring({}))

    assert decoded({"a": 1}).resources[0].outputs == {"a": 1}
    with pytest.raises(PassphraseError):
        decoded({"a": Secret(1)})


def test_a_secret_without_a_salt_is_never_written_in_clear():
    with pytest.raises(StackError, match="no encryption salt"):
        whole(Snapshot([Resource(URN, "t", custom=True, outputs={"a": Secret("geheim")})]), None)


def test_a_secret_may_be_given_in_plain_text_for_an_import(keyring):
    value = {SECRET_SIGNATURE_KEY: SECRET_SIGNATURE, "plaintext": '{"a":1}'}
    opened = decode_properties({"s": value}, lambda *_: pytest.fail("nothing to decrypt"), "x")
    assert opened == {"s": Secret({"a": 1})}
    with pytest.raises(StackError, match="only one"):
        decode_properties({"s": value | {"ciphertext": "x"}}, lambda *_: "", "x")
