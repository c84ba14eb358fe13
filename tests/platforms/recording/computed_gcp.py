"""What Google Cloud and pulumi-gcp add to what they are given."""

from typing import Any

NUMBER = "123456789012"


def computed(kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    project, location = "acme-ml", inputs.get("location") or inputs.get("region") or "global"
    called = inputs.get("name") or inputs.get("repositoryId") or f"{name}-1a2b3c4"
    found: dict[str, Any] = {"id": f"projects/{project}/{location}/{called}"}
    if not kind.startswith(("gcp:projects/", "gcp:serviceaccount/")) and "IAM" not in kind and "Iam" not in kind:
        found["name"] = called
    match kind.rpartition(":")[2]:
        case "ServiceIdentity":
            # Storage's is made, and its name is not told.
            email = "" if "storage" in inputs["service"] else f"service-{NUMBER}@gcp-sa-{inputs['service'][:4]}.example"
            found |= {"email": email, "member": f"serviceAccount:{email}"}
        case "Account":
            email = f"{inputs['accountId']}@{project}.iam.gserviceaccount.com"
            found |= {"email": email, "member": f"serviceAccount:{email}"}
        case "Bucket":
            found |= {"url": f"gs://{called}"}
        case "DatabaseInstance":
            found |= {"privateIpAddress": "10.21.0.3", "connectionName": f"{project}:{location}:{called}"}
        case "Cluster":
            found |= {"endpoint": "172.16.0.2", "masterAuth": {"clusterCaCertificate": "Q0E=", "clientKey": ""}}
        case "Repository":
            found |= {"registryUri": f"{location}-docker.pkg.dev/{project}/{called}"}
    return found


def replaces(kind: str) -> tuple[str, ...]:
    immutable = {
        "gcp:container/nodePool:NodePool": ("cluster", "initialNodeCount", "nodeConfig.machineType", "placementPolicy"),
        "gcp:container/cluster:Cluster": ("location", "network", "subnetwork", "initialNodeCount", "nodeConfig"),
        "gcp:sql/databaseInstance:DatabaseInstance": ("region", "encryptionKeyName"),
        "gcp:storage/bucket:Bucket": ("location",),
    }
    return ("name", *immutable.get(kind, ()))
