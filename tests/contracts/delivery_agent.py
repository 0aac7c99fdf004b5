"""
What every delivery agent does: the contract that plug-ins copy from the example.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import txmta

_PATH = (
    Path(txmta.__file__).parent.parent
    / "docs/examples/txmta-http-hook/txmta_http_hook/test/agent_contract.py"
)


def load() -> Any:
    """
    @return: the module; the example is no package that is installed here.
    """
    name = "txmta_agent_contract"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _PATH)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
