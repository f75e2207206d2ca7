"""Only those who sign in may start jobs: a real browser, and an OpenID Connect provider on this machine."""

import pytest
from identity import CLIENT, provider
from playwright.sync_api import expect
from viewer_helpers import free_port, serve_grainwise

WAIT = 150_000  # milliseconds; two cores may have other work


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("app"), free_port()
    with provider({"email": "ada@example.org", "name": "Ada"}) as metadata:
        said = CLIENT | {
            "redirect_uri": f"http://127.0.0.1:{port}/oauth2callback",
            "cookie_secret": "long enough to be hard to guess",
            "server_metadata_url": metadata,
        }
        secrets = folder / "secrets.toml"
        secrets.write_text("[auth]\n" + "".join(f'{name} = "{value}"\n' for name, value in said.items()))
        options = [f"--secrets.files={secrets}"]
        with serve_grainwise(folder, {"GRAINWISE_JOBS": "signed-in"}, port, options) as url:
            yield url


def test_only_those_who_sign_in_have_jobs(new_page, address):
    with new_page(1440, 1000, WAIT) as page:
        page.goto(f"{address}/jobs")
        page.get_by_text("sign in").first.wait_for()
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("See what every denoiser makes of your photo").wait_for()
        page.goto(f"{address}/jobs")
        page.get_by_text("No jobs yet").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("See what every denoiser makes of your photo").wait_for()
        page.goto(f"{address}/jobs")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=WAIT)
        expect(page.get_by_text("No jobs yet")).to_have_count(0)
