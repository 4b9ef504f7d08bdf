"""Oracles: the algorithms of gridcli in the plainest Python that can be written.

Every kernel is compared with a function here. Nothing here is fast, vectorised or clever.
"""

from __future__ import annotations
