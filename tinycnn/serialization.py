"""Placeholder until the room is written."""


def save(*args): ...


def load(*args): ...
