"""The page in a real Chromium: what a reader sees first, and that it keeps to itself."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from actors.reporter import render
from tests.chromium import PROGRAM, Page, browser, stored, tab
from tests.test_reports import JOURNALS, report_of

pytestmark = [pytest.mark.long, pytest.mark.skipif(PROGRAM is None, reason="no chromium here; apt-get install chromium")]
SIZES = {"desk": (1280, 800), "phone": (390, 844)}
WHOLE = """(element => {
    const box = element.getBoundingClientRect()
    return box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth && box.height > 8
})"""
SHOWN = "[...document.querySelectorAll('svg.line')].filter(s => s.getBoundingClientRect().height > 0).length"


@pytest.fixture(scope="module")
def chromium() -> Iterator[str]:
    with browser() as host:
        yield host


@pytest.fixture
async def page(chromium: str) -> AsyncIterator[Page]:
    async with tab(chromium) as opened:
        yield opened


def address(folder: Path, name: str) -> str:
    return stored(folder, f"{name}.html", render(report_of(JOURNALS[name]), "html"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["passed", "failed", "unsafe", "never_started"])
async def test_the_first_screen_holds_the_verdict_and_why(page: Page, tmp_path: Path, name: str, size: str) -> None:
    await page.open(address(tmp_path, name), *SIZES[size])

    assert await page.value(f"{WHOLE}(document.querySelector('#verdict'))")
    assert await page.value(f"{WHOLE}(document.querySelector('.why'))")
    assert (
        (await page.value("document.querySelector('#verdict').innerText")).lower().endswith(str(report_of(JOURNALS[name]).verdict.verdict))
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_logged_and_nothing_is_asked_for(page: Page, tmp_path: Path, size: str, scheme: str) -> None:
    url = address(tmp_path, "failed")
    await page.open(url, *SIZES[size], {"prefers-color-scheme": scheme})

    await page.value("document.querySelectorAll('button').forEach(b => b.click()); new Promise(done => setTimeout(done, 200))")
    await page.value(
        "(s => { const b = s.getBoundingClientRect(); s.dispatchEvent(new PointerEvent('pointermove', "
        "{clientX: b.left + b.width / 2, clientY: b.top + 50})) })([...document.querySelectorAll('svg.line')].find(s => s.clientHeight))"
    )

    assert page.logged == []
    assert page.requested == [url]
    assert await page.value("document.querySelector('.read b').innerText.startsWith('+1')"), (
        "the script reads out what is under the pointer"
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", JOURNALS)
async def test_the_page_is_as_wide_as_its_window(page: Page, tmp_path: Path, name: str, size: str) -> None:
    await page.open(address(tmp_path, name), *SIZES[size])

    await page.value("document.querySelectorAll('details').forEach(d => d.open = true)")

    assert await page.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert await page.value(SHOWN) == (0 if name in {"refused", "never_started"} else 1)


async def test_samples_are_one_click_away(page: Page, tmp_path: Path) -> None:
    await page.open(address(tmp_path, "failed"), *SIZES["desk"])
    sample = "document.querySelector('#a-orders details.samples td[data-l=Id]')"
    before = await page.value(f"{sample}.checkVisibility()")

    await page.value("document.querySelector('#a-orders details.samples summary').click()")

    assert (before, await page.value(f"{sample}.checkVisibility()")) == (False, True)


async def test_everything_can_be_read_without_the_script(page: Page, tmp_path: Path) -> None:
    await page.call("Emulation.setScriptExecutionDisabled", value=True)
    await page.open(address(tmp_path, "failed"), *SIZES["desk"])

    assert await page.value("document.querySelectorAll('button').length") == 0
    assert await page.value("document.querySelector('#a-recovery').innerText.includes('the driver took 260ms')")
    assert await page.value(SHOWN) == 1


async def test_a_script_that_got_into_the_page_does_not_run(page: Page, tmp_path: Path) -> None:
    data = render(report_of(JOURNALS["passed"]), "html").replace(b"</main>", b"<script>document.title = 'taken over'</script></main>")
    await page.open(stored(tmp_path, "bad.html", data), *SIZES["desk"])

    assert await page.value("document.title") != "taken over"
    assert "Content Security Policy" in page.logged[0]


async def test_it_prints_in_dark_mode_too(page: Page, tmp_path: Path) -> None:
    await page.open(address(tmp_path, "failed"), *SIZES["desk"])

    await page.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    assert await page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert await page.value("getComputedStyle(document.querySelector('h1 .name')).color") == "rgb(19, 26, 36)"
    assert not await page.value("document.querySelector('.jump').checkVisibility()")
    assert len((await page.call("Page.printToPDF", printBackground=True))["data"]) > 50_000


async def test_every_mark_on_the_time_line_leads_to_what_it_stands_for(page: Page, tmp_path: Path) -> None:
    await page.open(address(tmp_path, "failed"), *SIZES["desk"])

    links = await page.value("[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1))")

    assert "a-recovery" in links
    assert await page.value(f"{links}.filter(id => !document.getElementById(id))") == []
