"""Packages that lmms-eval imports at its start and a run may never use: imported when they are first used.

Hugging Face `evaluate` alone, which only stock tasks' metrics need, imports transformers' pipelines, torch's compiler and
scikit-learn. While lmms-eval is imported, stand-ins take the places of such packages. lmms-eval's modules keep the
stand-ins, and each imports the real package as soon as something is asked of it. Nobody else sees a stand-in.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

LATER: Mapping[str, Sequence[str]] = {
    "evaluate": (),
    "accelerate": ("Accelerator",),
    "transformers": ("PreTrainedTokenizer", "StoppingCriteria", "StoppingCriteriaList"),
    "torchvision": (),
    "torch": ("Tensor", "dtype"),
    "torch.nn": ("Module",),
    "torch.distributed": (),
    "torch.distributed.distributed_c10d": (),
    "torch.cuda": (),
    "torch.utils": (),
    "torch.utils.collect_env": ("get_pretty_env_info",),
}
"""By module, the names that lmms-eval (0.7.3) takes from it at import: for annotations, base classes and `from … import`."""


UNTIL_IMPORTED: Mapping[str, Mapping[str, Any]] = {"torch.distributed": {"is_initialized": False}, "torch.cuda": {"empty_cache": None}}
"""By module, what its functions return as long as nobody has imported it."""


class LaterModule(ModuleType):
    """Stands for a module until something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return metadata.version(self.__name__)
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)  # what walks over all modules must not import this one
        return getattr(_real(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__name__ in sys.modules and sys.modules[self.__name__] is not self:
            setattr(_real(self), name, value)
        else:
            self.__dict__["settings"][name] = value

    def __dir__(self) -> list[str]:
        return dir(_real(self))


class LaterClass(type):
    """Stands for a class until it is called: for annotations, as a base class, in `isinstance`."""

    module: LaterModule

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """An instance of the real class; of a subclass that was written with this stand-in as its base, its own."""
        if type.__getattribute__(cls, "__dict__").get("stands_in"):
            return getattr(_real(cls.module), cls.__name__)(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        """As the real class says; nothing is an instance of a class that nobody has imported."""
        if cls.__dict__.get("stands_in") and cls.module.__name__ in sys.modules:
            return isinstance(instance, getattr(_real(cls.module), cls.__name__))
        return super().__instancecheck__(instance)


class _Submodules(MetaPathFinder, Loader):
    """Finds submodules of a package that a stand-in stands for: the package itself is imported first, as it should be."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Nothing, unless the package has imported this submodule by itself: then what it has imported."""
        parent = sys.modules.get(name.rpartition(".")[0])
        if not isinstance(parent, LaterModule):
            return None
        _real(parent)
        return ModuleSpec(name, self, loader_state=sys.modules[name].__spec__) if name in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module that is there already."""
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed; its own spec is given back to it."""
        module.__spec__ = module.__spec__ and module.__spec__.loader_state


@contextmanager
def imported_later(names: Mapping[str, Sequence[str]] = LATER) -> Iterator[None]:
    """While the context lasts, imports of these modules give stand-ins; modules that are imported already stay as they are.

    Args:
        names: by module, which of its names are taken from it within the context.
    """
    stand_ins: dict[str, LaterModule] = {}
    for name, classes in names.items():
        parent, _, child = name.rpartition(".")
        if name in sys.modules or (parent and parent not in stand_ins) or not (parent or PathFinder.find_spec(name)):
            continue
        stand_ins[name] = sys.modules[name] = _stand_in(name, classes)
        if parent:
            stand_ins[parent].__dict__[child] = stand_ins[name]
    finder = _Submodules()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, stand_in in stand_ins.items():
            _leave(name, stand_in)


def _stand_in(name: str, classes: Sequence[str]) -> LaterModule:
    module = LaterModule(name)
    module.__dict__["settings"] = {}
    module.__dict__["__path__"] = []
    if "." not in name and (spec := PathFinder.find_spec(name)):
        module.__dict__.update(__spec__=spec, __file__=spec.origin, __loader__=spec.loader, __package__=name)
        module.__dict__["__path__"] = spec.submodule_search_locations
    for each, answer in UNTIL_IMPORTED.get(name, {}).items():
        module.__dict__[each] = lambda each=each, answer=answer: getattr(_real(module), each)() if name in sys.modules else answer
    for each in classes:
        module.__dict__[each] = LaterClass(each, (), {"__module__": name, "module": module, "stands_in": True})
    return module


def _real(stand_in: LaterModule) -> ModuleType:
    """The real module, imported if it is not; what was set on its stand-in is set on it."""
    name = stand_in.__name__
    top = name.partition(".")[0]
    for each, module in list(sys.modules.items()):
        if each.partition(".")[0] == top and isinstance(module, LaterModule):
            _leave(each, module)
    real = importlib.import_module(name)
    settings = stand_in.__dict__["settings"]
    while settings:
        setattr(real, *settings.popitem())
    return real


def _leave(name: str, stand_in: LaterModule) -> None:
    if sys.modules.get(name) is stand_in:
        del sys.modules[name]
