"""The sample configurations as they are shipped, and a real browser that uses their page as a visitor does."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.doubles.gateway import ROOT, Gateway, running, start
from tests.doubles.waiting import until

APPS = ("echo", "chat", "ticker", "board", "progress")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-proxy-server",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",
    "--ignore-certificate-errors",
    "--window-size=1280,1000",
)


def sample(name: str) -> str:
    """A shipped INI, its files where they are and each port a free one: 8080 is the port named ``p8080``."""
    text = (ROOT / "etc" / name).read_text().replace("../www", str(ROOT / "www"))
    return re.sub(r"127\.0\.0\.1:(\d+)", r"127.0.0.1:{p\1}", text)


class Page:
    """The page in one tab of the browser."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self.browser = browser
        browser.get(url)
        self.tab = browser.current_window_handle

    def another(self) -> Page:
        """The same page in a further tab."""
        url = self.browser.current_url
        self.browser.switch_to.new_window("tab")
        return Page(self.browser, url)

    def show(self) -> Page:
        """Bring this tab to the front."""
        self.browser.switch_to.window(self.tab)
        return self

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        self.wait_for(selector)
        self.one(selector).click()

    def type(self, selector: str, text: str) -> None:
        box = self.one(selector)
        box.clear()
        box.send_keys(text, Keys.ENTER)

    def text(self, selector: str) -> str:
        """The text of the first element, empty where there is none: asked at once, since the page may replace it."""
        script = "return document.querySelector(arguments[0])?.textContent ?? ''"
        return str(self.browser.execute_script(script, selector))

    def wait(self, fact: Callable[[], object], what: str) -> None:
        """Wait for a fact; a failure tells what the browser complained of."""
        try:
            until(fact, what, timeout=60)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.complaints()}") from None

    def wait_for(self, selector: str, count: int = 1) -> None:
        """Wait until ``count`` elements are there at least."""
        self.wait(lambda: len(self.all(selector)) >= count, f"{count} of {selector}")

    def wait_open(self) -> Page:
        for app in APPS:
            self.wait_for(f"#{app}[data-state=open]")
        self.wait_for("#chat[data-room]")
        self.wait_for("#board .fields button", 64)
        return self

    def complaints(self) -> list[str]:
        """What the browser's console holds: blocked loads, broken policies, uncaught errors."""
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(sample("wsgate.ini"), tmp_path_factory.mktemp("sample") / "gateway") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program and driver, "the page is tested in Debian's chromium with its chromium-driver"
    options = ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    try:
        chrome = Chrome(options=options, service=Service(driver))
    except WebDriverException:  # a busy machine; it has found its files by now
        chrome = Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


@pytest.fixture(params=["http", "https"])
def page(request: pytest.FixtureRequest, gateway: Gateway, browser: Chrome) -> Iterator[Page]:
    """The page, everything on it open; the browser has nothing to complain of up to the end of the test."""
    browser.get_log("browser")  # of another test's page
    name = {"http": "p8080", "https": "p8443"}[request.param]
    opened = Page(browser, gateway.url(name, scheme=request.param)).wait_open()
    yield opened
    assert opened.complaints() == []
    for tab in browser.window_handles[1:]:
        browser.switch_to.window(tab)
        browser.close()
    browser.switch_to.window(browser.window_handles[0])


def test_every_application_is_open_over_the_scheme_of_the_page(page: Page) -> None:
    secure = page.browser.current_url.startswith("https:")
    assert page.text(".gate [data-field=scheme]").startswith("wss," if secure else "ws,")
    assert page.text(".summary [data-field=open]") == "5"
    assert [lane.get_attribute("data-lane") for lane in page.all(".lanes [data-state=open]")] == list(APPS)
    for app in APPS:
        expected = "none" if app == "echo" else f"wsgate.{app}"
        assert page.text(f"#{app} [data-field=subprotocol]") == expected


def test_echo_says_the_message_back_and_what_it_cost(page: Page) -> None:
    page.type("#echo .say input", "hällo 👋")
    page.wait_for("#echo .log li")
    assert re.fullmatch(r"hällo 👋\d+(\.\d)? ms", page.text("#echo .log li"))
    page.click("#echo [data-action=burst]")
    page.wait(lambda: page.text("#echo [data-field=samples]") == "50", "50 round trips")
    assert re.fullmatch(r"\d+(\.\d)? ms", page.text("#echo [data-field=p50]"))
    page.wait(
        lambda: page.text("#echo [data-field=sent]") == page.text("#echo [data-field=received]"), "as much as was sent"
    )


@pytest.mark.parametrize(("code", "shown"), [("1000", "1000 normal: “bye”"), ("4001", "4001 private use: “bye”")])
def test_a_close_code_and_its_reason_come_back_from_the_server(page: Page, code: str, shown: str) -> None:
    page.click(f"#echo .closing option[value='{code}']")
    page.click("#echo .closing button")
    page.wait_for("#echo[data-state=closed]")
    assert page.text("#echo [data-field=close]") == shown
    assert page.one("#echo [data-field=close]").get_attribute("data-clean") == "true"
    assert page.text(".summary [data-field=open]") == "4"
    page.click("#echo [data-action=connect]")
    page.wait_for("#echo[data-state=open]")


def test_every_application_is_disconnected_connected_and_reconnected(page: Page) -> None:
    for app in APPS:
        page.click(f"#{app} [data-action=disconnect]")
        page.wait_for(f"#{app}[data-state=closed]")
        assert page.text(f"#{app} [data-field=close]") == "1000 normal"
        page.click(f"#{app} [data-action=connect]")
        page.wait_for(f"#{app}[data-state=open]")
        page.click(f"#{app} [data-action=reconnect]")
        page.wait(lambda name=app: "reconnecting" in page.text(f"#{name} [data-field=close]"), "the old one has closed")
        page.wait_for(f"#{app}[data-state=open]")


def test_all_are_disconnected_and_connected_at_once(page: Page) -> None:
    page.click("#disconnect-all")
    page.wait_for(".card[data-state=closed]", 5)
    assert not page.one("#disconnect-all").is_enabled()
    page.click("#connect-all")
    page.wait_open()
    assert not page.one("#connect-all").is_enabled()


def test_two_visitors_chat_in_a_room(page: Page) -> None:
    other = page.another().wait_open()
    for visitor, name in ((page, "Ada"), (other, "Bob <b>")):
        visitor.show()
        visitor.type("#chat .join [name=name]", name)
        visitor.wait(lambda v=visitor, n=name: n in v.text("#chat .people .me"), "the name")
    other.type("#chat .say input", "<i>hello</i>, Ada")
    page.show().wait(lambda: "Bob <b> <i>hello</i>, Ada" in page.text("#chat .log"), "what Bob said")
    assert page.all("#chat .log i") == []
    page.type("#chat .say input", "hello, Bob")
    other.show().wait(lambda: "Ada hello, Bob" in other.text("#chat .log"), "what Ada said")


def test_who_changes_the_room_sees_other_people(page: Page) -> None:
    page.type("#chat .join [name=room]", "garden")
    page.wait_for("#chat[data-room=garden][data-people='1']")


def test_prices_move_and_a_subscription_is_cancelled(page: Page) -> None:
    page.wait_for("#ticker tr[data-symbol]", 5)
    page.wait_for("#ticker[data-tick]")
    first = page.text("#ticker [data-field=tick]")
    page.wait(lambda: page.text("#ticker [data-field=tick]") != first, "the next update")
    page.click("#ticker [data-symbol=CEDAR] input")
    page.wait_for("#ticker [data-symbol=CEDAR][data-subscribed=false]")
    page.click("#ticker [data-symbol=CEDAR] input")
    page.wait_for("#ticker tr[data-subscribed=true]", 5)


def test_a_job_runs_to_its_end_and_another_is_cancelled(page: Page) -> None:
    page.type("#progress [name=steps]", "2")
    page.wait_for("#progress [data-outcome=done]")
    assert page.one("#progress [data-outcome=done] progress").get_property("value") == 100
    page.wait(lambda: "is done after" in page.text("#progress .log"), "the end in the log")
    page.type("#progress [name=steps]", "100")
    page.click("#progress [data-outcome=running] button")
    page.wait_for("#progress [data-outcome=cancelled]")


def test_jobs_are_lost_with_their_connection(page: Page) -> None:
    page.type("#progress [name=steps]", "100")
    page.wait_for("#progress [data-outcome=running]")
    page.click("#progress [data-action=disconnect]")
    page.wait_for("#progress [data-outcome=lost]")


def test_what_one_paints_the_other_sees(page: Page) -> None:
    page.click("#board [data-action=clear]")
    page.wait_for("#board .fields [data-colour='0']", 64)
    other = page.another().wait_open()
    other.wait(lambda: other.text("#board [data-field=players]") == "2", "two players")
    other.click("#board .palette [value='6']")
    other.click("#board .fields button:nth-child(11)")
    page.show().wait_for("#board .fields [data-colour='6'][aria-label='row 2, column 3: blue']")
    page.one("#board .fields button:nth-child(11)").send_keys(Keys.ARROW_RIGHT)
    assert page.browser.switch_to.active_element.get_attribute("aria-label") == "row 2, column 4: empty"


def test_who_leaves_the_page_leaves_the_applications_and_may_come_back(page: Page) -> None:
    other = page.another().wait_open()
    page.show().wait(lambda: page.text("#board [data-field=players]") == "2", "two players")
    other.show().browser.get("about:blank")
    page.show().wait(lambda: page.text("#board [data-field=players]") == "1", "one player")
    other.show().browser.back()
    other.wait_open()


def test_bad_input_is_told_and_not_sent_on(page: Page) -> None:
    page.browser.execute_script("document.querySelector('#chat .say input').removeAttribute('required')")
    page.type("#chat .say input", "")
    page.wait(lambda: "text must be text of 1 to 300 characters" in page.text("#chat .notice"), "the error")


@pytest.mark.parametrize("width", [320, 390, 820])
def test_the_page_fits_a_narrow_screen(page: Page, width: int) -> None:
    """However long its figures have grown."""
    screen = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        page.browser.execute_script(
            "for (const one of document.querySelectorAll('.figure, .big span')) one.textContent = '12345.6 ms'"
        )
        assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_comes_back_by_itself_when_the_gateway_does(browser: Chrome, tmp_path: Path) -> None:
    first = start(sample("wsgate.ini"), tmp_path / "first")
    try:
        page = Page(browser, first.url("p8080", scheme="http")).wait_open()
        first.signal(signal.SIGTERM)
        until(lambda: page.text("#echo [data-field=close]").startswith("1001 going away"), "the page is told 1001")
        first.wait()
        first.stop()
        page.wait_for(".card[data-state=waiting]", 5)
        ports = first.ports
        second = start(sample("wsgate.ini"), tmp_path / "second", **ports)
        try:
            page.wait_open()
            page.type("#echo .say input", "back again")
            page.wait_for("#echo .log li")
        finally:
            browser.get("about:blank")
            second.stop()
    finally:
        first.kill()


def test_layer_7_alone_has_two_applications_and_the_page_says_so(browser: Chrome, tmp_path: Path) -> None:
    with running(sample("layer7.ini"), tmp_path / "gateway") as gateway:
        page = Page(browser, gateway.url("p8080", scheme="http"))
        for app, state in zip(APPS, ("open", "open", "failed", "failed", "failed"), strict=True):
            page.wait_for(f"#{app}[data-state={state}]")
        assert "No WebSocket answers at /ticker" in page.text("#ticker .notice")
        page.type("#echo .say input", "hello")
        page.wait_for("#echo .log li")
        browser.get("about:blank")
