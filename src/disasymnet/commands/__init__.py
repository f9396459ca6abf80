"""Every command: read the words, call one function, print. Heavy imports stand inside the commands."""
