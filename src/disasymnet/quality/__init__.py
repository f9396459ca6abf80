"""Checks of data that people run before they trust a folder."""
