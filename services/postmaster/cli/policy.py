"""Commands on policy: each of its subjects adds its room here."""

from __future__ import annotations

from postmaster.cli.help import Commands

policy = Commands("How mail is judged: what is checked, learned, listed and explained.")
