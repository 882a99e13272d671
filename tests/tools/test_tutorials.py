"""What runs the tutorials: which blocks it finds, and when a page says what was printed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "tools" / "run_tutorials.py"

PAGE = """# A page

```python
print("one", 1.5)
```

```text
one 1.5
```

```toml title="a.toml"
x = 1
```

```bash
cat a.toml; echo 'probe: 1/2, 3 s left'
```

```text
x = 1
```
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_tutorials", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_tutorials"] = module  # its dataclass looks for its own module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("said", "printed", "same"),
    [
        ("a 1.50\n", "a 1.51", True),
        ("a −.50", "a .50", False),
        ("a .50 [.01, .20]", "a .51 [.02, .19]", True),
        ("a 1.50", "a 1.70", False),
        ("a 100", "a 102", True),
        ("a 100", "b 100", False),
        ("24 new…\nb", "24 new, 2 tries repeated\nb", True),
        ("24 new…\nb", "24 new, 2 tries repeated\nc", False),
        ("", "something", False),
        ("something", "", False),
    ],
)
def test_a_page_says_what_was_printed_but_for_rounding(
    tool: ModuleType, said: str, printed: str, same: bool
) -> None:
    assert tool.agrees(said, printed) is same


def test_blocks_run_in_order_and_what_differs_is_told_and_written(tool: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert tool.run(page) == []
    page.write_text(PAGE.replace("one 1.5\n", "two 1.5\n").replace("```text\nx = 1\n", "```text\n"))
    assert len(tool.run(page)) == 2
    tool.run(page, write=True)
    assert page.read_text() == PAGE


def test_a_block_that_fails_ends_the_page(tool: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\nfalse; true\n```\n\n```bash\ntouch there\n```\n")
    (wrong,) = tool.run(page)
    assert "block 1 ended with 1" in wrong
