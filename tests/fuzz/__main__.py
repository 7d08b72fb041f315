"""`python -m tests.fuzz`."""

from __future__ import annotations

from tests.fuzz.running import main

raise SystemExit(main())
