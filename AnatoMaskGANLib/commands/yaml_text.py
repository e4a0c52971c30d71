"""YAML whose meaning is one: a key that comes twice in a mapping is refused, and 2e-3 is a number.

YAML 1.1 calls 2e-3 a text, for it has no point; everybody who writes a learning rate means the
number that YAML 1.2 reads.
"""

from __future__ import annotations

import functools
import re
from typing import Any

_EXPONENT = re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+$")
_FLOAT = "tag:yaml.org,2002:float"


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises ValueError for a text that PyYAML cannot read, and for a key
    that comes twice in a mapping, because PyYAML would silently keep the last one."""
    import yaml

    loader = _loader_type()(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_keys_twice(node)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    # errors of its constructors of tagged values, and of nesting that is too deep
    except (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    finally:
        loader.dispose()


@functools.cache
def _loader_type() -> Any:
    """PyYAML's safe loader, with numbers like 2e-3."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789"))
    return Loader


def _refuse_keys_twice(root: Any) -> None:
    """Looks at every mapping once; anchors may make many ways to one of them, and circles."""
    import yaml

    open_nodes, seen = [root], set()
    while open_nodes:
        node = open_nodes.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            open_nodes += node.value
        if not isinstance(node, yaml.MappingNode):
            continue
        keys = set()
        for key, value in node.value:
            open_nodes += [key, value]
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name in keys:
                line = key.start_mark.line + 1
                raise ValueError(
                    f"the key {key.value!r:.99} comes twice, again in line {line}; remove one of "
                    "the two"
                )
            if name is not None:
                keys.add(name)
