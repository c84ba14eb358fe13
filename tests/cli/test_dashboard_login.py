"""The address that logs a browser into Ray's dashboard."""

from __future__ import annotations

import httpx

from heliostat.cli.login import Login

DASHBOARD = "http://127.0.0.1:1"


def test_it_hands_the_token_over_once_as_a_cookie_and_leads_to_the_dashboard() -> None:
    with Login(DASHBOARD, "very-secret") as login, httpx.Client(trust_env=False) as browser:
        assert "very-secret" not in login.url
        assert browser.get(f"{login.url}x").status_code == httpx.codes.NOT_FOUND
        assert not login.visited(0)
        answer = browser.get(login.url)
        assert answer.headers["location"] == f"{DASHBOARD}/"
        assert answer.headers["set-cookie"] == "ray-authentication-token=very-secret; Path=/; HttpOnly; SameSite=Strict"
        assert "very-secret" not in answer.text
        assert login.visited(0)
        again = httpx.get(login.url, trust_env=False)
        assert again.status_code == httpx.codes.GONE
        assert "set-cookie" not in again.headers
