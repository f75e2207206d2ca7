"""An OpenID Connect provider that knows one visitor and asks for no password: as much of one as signing in needs."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwk, jwt

CLIENT = {"client_id": "grainwise", "client_secret": "a secret between the two"}


@contextmanager
def provider(visitor: dict):
    """Signs ``visitor``, claims such as an email address, in; yields the address of its metadata."""
    key = jwk.RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
    nonces = {}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            if url.path == "/.well-known/openid-configuration":
                self.say(
                    issuer=base,
                    authorization_endpoint=f"{base}/authorize",
                    token_endpoint=f"{base}/token",
                    jwks_uri=f"{base}/keys",
                    response_types_supported=["code"],
                    subject_types_supported=["public"],
                    id_token_signing_alg_values_supported=["RS256"],
                )
            elif url.path == "/keys":
                self.say(keys=[key.as_dict(private=False)])
            elif url.path == "/authorize":
                code = f"code{len(nonces)}"
                nonces[code] = asked.get("nonce")
                self.send_response(302)
                back = urlencode({"code": code, "state": asked["state"]})
                self.send_header("Location", f"{asked['redirect_uri']}?{back}")
                self.end_headers()
            else:
                self.send_error(404)

        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            now = int(time.time())
            claims = visitor | dict(iss=base, aud=CLIENT["client_id"], sub="1", iat=now, exp=now + 600)
            claims["nonce"] = nonces.pop(form["code"][0])
            token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)
            self.say(access_token="unused", token_type="Bearer", expires_in=600, id_token=token)

        def say(self, **answer):
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    base = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{base}/.well-known/openid-configuration"
    finally:
        server.shutdown()
        server.server_close()
