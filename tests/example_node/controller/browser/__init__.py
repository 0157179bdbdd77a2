"""The Controller's pages in Chromium, which Playwright drives."""
