"""A stack whose state says where its platform is, as an `up` would have left it."""

from heliostat.engine.state.backend import Backend, Checkpoints, StackRef
from heliostat.engine.state.secrets import Keyring
from heliostat.engine.state.snapshot import Resource, Snapshot
from heliostat.spec.addresses import StoreAddress
from heliostat.systems.objects import open_store


class PlatformStack:
    """The stack `dev` of a project, with an object store beside it."""

    def __init__(self, desk):
        self.desk = desk
        self.store_address = StoreAddress(uri=(desk.folder.parent / "objects").as_uri())
        self.token = desk.folder.parent / "token"
        self.token.write_text("hush\n")

    @property
    def store(self):
        return open_store(self.store_address)

    def platform(self, url="http://127.0.0.1:9"):
        return {
            "store": self.store_address.model_dump(mode="json"),
            "controller": {"url": url, "tokenFile": str(self.token)},
            "publicUrl": "http://127.0.0.1:8080",
        }

    def exports(self, stack="dev", resources=(), **outputs):
        """Has the stack export exactly this, and hold these resources: a type's last part and its outputs each."""
        backend, ref = Backend.open(f"file://{self.desk.state}"), StackRef("demo", stack)
        document = backend.read(ref)
        crypter = Keyring({"PULUMI_CONFIG_PASSPHRASE": "pass"}).of(document.salt)
        root = Resource(f"urn:pulumi:{stack}::demo::pulumi:pulumi:Stack::demo-{stack}", "pulumi:pulumi:Stack", custom=False)
        root.outputs.update(outputs)
        held = [_resource(stack, name, given) for name, given in resources]
        Checkpoints(backend, ref, crypter, document).save(Snapshot([root, *held], []))

    def remember(self, *entries):
        for entry in entries:
            key = f"ledger/{entry.application}/{entry.number:010d}.json"
            assert self.store.put(key, entry.model_dump_json().encode(), only_if_absent=True)


def _resource(stack, name, outputs):
    token = f"heliostat:index:{name}"
    urn = f"urn:pulumi:{stack}::demo::{token}::{outputs.get('name', name.lower())}"
    made = Resource(urn, token, custom=True, id=name.lower())
    made.outputs.update(outputs)
    return made
