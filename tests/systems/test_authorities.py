"""Whom clients trust."""

from __future__ import annotations

import ssl

from heliostat.systems.authorities import authorities


def test_a_client_of_plain_http_reads_no_certificates_and_would_trust_none() -> None:
    trusted = authorities("http://127.0.0.1:8265")
    assert isinstance(trusted, ssl.SSLContext)
    assert trusted.get_ca_certs() == []
    assert trusted.verify_mode == ssl.CERT_REQUIRED
    assert trusted.check_hostname


def test_a_client_of_https_trusts_whom_httpx_trusts() -> None:
    assert authorities("https://mlflow.example") is True
