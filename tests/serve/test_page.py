"""The chat page in a browser: Chromium as Debian has it, driven by Playwright."""

import shutil
import sys
import unittest

from playwright.sync_api import expect, sync_playwright

from server import Server

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


class Page(unittest.TestCase):
    def setUp(self):
        self.server = Server('--max-running', '8', environment={'TRANSFORMER_API_KEYS': 'secret'})
        self.addCleanup(self.server.close)
        self.server.client.headers['authorization'] = 'Bearer secret'
        driver = sync_playwright().start()
        self.addCleanup(driver.stop)
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu'])
        self.addCleanup(browser.close)
        self.page = browser.new_page()
        self.page.set_default_timeout(20000)
        self.failures, self.requests = [], []
        self.page.on('pageerror', lambda error: self.failures.append(str(error)))
        self.page.on('request', lambda request: self.requests.append(request.url))
        self.page.goto(self.server.url)

    def test_chat(self):
        page = self.page
        expect(page.locator('#status')).to_contain_text('API key')
        page.fill('#key', 'secret')
        page.locator('#key').blur()
        expect(page.locator('#model option')).to_have_count(1)
        page.fill('#max-tokens', '12')
        page.fill('#text', 'the river <b>bold</b>')
        page.press('#text', 'Enter')
        expect(page.locator('#status')).to_contain_text('a second')
        messages = page.locator('.message')
        self.assertEqual(messages.count(), 2)
        self.assertEqual(messages.nth(0).text_content(), 'the river <b>bold</b>')  # text, not HTML
        self.assertGreater(len(messages.nth(1).text_content()), 0)
        page.fill('#text', 'and the sea')  # a second turn, with the first before it
        page.click('#send')
        expect(messages).to_have_count(4)
        expect(page.locator('#status')).to_contain_text('a second')
        page.fill('#max-tokens', '0')
        page.fill('#text', 'wrong')
        page.evaluate("document.getElementById('form').noValidate = true")
        page.click('#send')
        expect(page.locator('#status')).to_contain_text('max_tokens')
        expect(messages).to_have_count(5)  # what got no answer stays to be seen
        page.click('#clear')
        expect(messages).to_have_count(0)
        # An answer that is stopped: the server's is over when the page's is.
        page.fill('#max-tokens', '1900')
        page.fill('#temperature', '0')  # it goes round in circles then
        page.fill('#text', 'the river')
        page.press('#text', 'Enter')
        page.evaluate("document.getElementById('stop').click()")
        expect(page.locator('#send')).to_be_visible()
        expect(page.locator('#status')).to_have_text('Stopped.')
        self.assertTrue(self.server.wait_for(self.server.is_empty))
        self.assertEqual(self.failures, [])
        self.assertTrue(all(url.startswith(self.server.url) for url in self.requests), self.requests)


if __name__ == '__main__':
    if CHROMIUM is None:
        print('skipped: the page: no Chromium is installed')
        sys.exit(77)
    unittest.main()
