"""An address says where a secret is found, never the secret, and is read as it was written before."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from heliostat.spec.addresses import BasicVariables, ControllerAddress, HttpAddress, RayAddress, TokenFile, TokenVariable

URL = "http://10.0.0.2:8265"


@pytest.mark.parametrize("key", ["tokenFile", "token_file"])
def test_the_path_of_a_tokens_file_that_older_states_hold_is_read(key: str) -> None:
    for kind in (RayAddress, ControllerAddress):
        assert kind.model_validate({"url": URL, key: "/t"}) == kind(url=URL, credential=TokenFile(path="/t"))


def test_an_older_address_without_a_token_has_none() -> None:
    assert RayAddress.model_validate({"url": URL, "tokenFile": None}) == RayAddress(url=URL)


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        (TokenFile(path="/t"), {"kind": "file", "path": "/t"}),
        (TokenVariable(variable="T"), {"kind": "environment", "variable": "T"}),
        (
            BasicVariables(username_variable="N", password_variable="P"),
            {"kind": "basic", "usernameVariable": "N", "passwordVariable": "P"},
        ),
    ],
)
def test_each_credential_is_written_with_its_kind_and_read_again(credential: Any, said: dict[str, str]) -> None:
    address = HttpAddress(url=URL, credential=credential)
    written = address.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert written == {"url": URL, "credential": said}
    assert HttpAddress.model_validate(written) == address


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ray:8265"},
        {"url": "ftp://ray"},
        {"url": "http://ada:secret@ray"},
        {"url": "http://ray?token=secret"},
        {"url": URL, "credential": {"kind": "file", "path": "token"}},
        {"url": URL, "credential": {"kind": "environment", "variable": "MY TOKEN"}},
        {"url": URL, "credential": {"kind": "guess"}},
        {"url": URL, "credential": {"kind": "environment"}},
        {"url": URL, "password": "secret"},
    ],
)
def test_what_is_no_address_or_holds_a_secret_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpAddress.model_validate(wrong)


@pytest.mark.parametrize("url", ["http://ray:8265", "https://mlflow.example/team", "http://[::1]:80"])
def test_urls_of_all_kinds_are_taken(url: str) -> None:
    assert HttpAddress(url=url).url == url
