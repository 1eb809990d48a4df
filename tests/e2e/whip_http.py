"""WHIP's and WHEP's requests for peers that are programs of their own, with nothing but Python."""

import urllib.request
from urllib.parse import urljoin

TIMEOUT = 20


def begin(url, sdp, token=None):
    """POST the offer; the answer, and the URL of what was begun."""
    with _request("POST", url, sdp.encode(), token) as response:
        assert response.status == 201
        return response.read().decode(), urljoin(url, response.headers["Location"])


def end(url, token=None):
    """DELETE what was begun."""
    with _request("DELETE", url, None, token) as response:
        assert response.status == 200


def _request(method, url, body, token):
    headers = {"Content-Type": "application/sdp"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, body, headers, method=method)
    return urllib.request.urlopen(request, timeout=TIMEOUT)
