"""Packages that others import at their start and a run may never use: imported when they are first used.

Hugging Face `evaluate` alone, which only stock tasks' metrics need, imports transformers' pipelines, torch's compiler and
scikit-learn. While lmms-eval is imported, stand-ins take the places of such packages. lmms-eval's modules keep the
stand-ins, and each imports the real package as soon as something is asked of it. Nobody else sees a stand-in.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

Names = Mapping[str, Sequence[str]]
"""By module, the names that are taken from it at import: for annotations, as base classes, by `from … import`."""

LMMS_EVAL: Names = {
    "evaluate": (),
    "sacrebleu": (),
    "aiohttp": (),
    "requests": (),
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
"""What lmms-eval 0.7.3 imports and a served model does not need; a name that is missing here costs time, nothing else."""

TRANSFORMERS: Names = {
    "transformers.tokenization_mistral_common": ("MistralCommonBackend",),
    "sklearn": (),
    "sklearn.metrics": ("roc_curve",),
    "scipy": (),
    "scipy.optimize": ("linear_sum_assignment",),
}
"""What transformers 5.19 imports for assisted generation, for losses of object detection, and for another family's tokenizers."""

UNTIL_IMPORTED: Mapping[str, Mapping[str, Any]] = {
    "torch.distributed": {"is_initialized": False},
    "torch.cuda": {"empty_cache": None},
}
"""By module, what its functions return as long as nobody has imported it."""


class LaterModule(ModuleType):
    """Stands for a module until something is asked of it."""

    def __init__(self, name: str, spec: ModuleSpec | None) -> None:
        super().__init__(name)
        known = {"__spec__": spec, "__file__": spec.origin, "__loader__": spec.loader} if spec else {}
        path = spec.submodule_search_locations if spec else []
        self.__dict__.update(known, __path__=path, __package__=name, set_early={})

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return metadata.version(self.__name__)
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)  # what walks over all modules must not import this one
        return getattr(_real(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if _is_imported(self):
            setattr(_real(self), name, value)
        else:
            self.__dict__["set_early"][name] = value

    def __dir__(self) -> list[str]:
        return dir(_real(self))


class LaterClass(type):
    """Stands for a class or function until it is called: in annotations, as a base class, in `isinstance`."""

    of: LaterModule

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """The real one's result; a class that was written with this one as its base gives an instance of its own."""
        if "of" in cls.__dict__:
            return getattr(_real(cls.of), cls.__name__)(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        """A member of the real class, which is imported for it."""
        if "of" not in cls.__dict__ or name.startswith("__"):
            raise AttributeError(name)
        return getattr(getattr(_real(cls.of), cls.__name__), name)

    def __instancecheck__(cls, instance: Any) -> bool:
        """As the real class says; nothing is an instance of a class that nobody has imported."""
        if "of" in cls.__dict__ and _is_imported(cls.of):
            return isinstance(instance, getattr(_real(cls.of), cls.__name__))
        return super().__instancecheck__(instance)


class _Submodules(MetaPathFinder, Loader):
    """Finds submodules of a package that a stand-in stands for: the package itself is imported first, as it should be."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Nothing, unless the package has imported this submodule by itself: then that one."""
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
def imported_later(names: Names) -> Iterator[None]:
    """While the context lasts, imports of these modules give stand-ins; modules that are imported already stay as they are."""
    stand_ins: dict[str, LaterModule] = {}
    for name, taken in names.items():
        parent, _, child = name.rpartition(".")
        # not importlib.util.find_spec: hooks that prepare an import must not run for a look
        spec = None if parent else PathFinder.find_spec(name)
        inside = parent in stand_ins or (parent and PathFinder.find_spec(name.partition(".")[0]))
        if name in sys.modules or not (spec or inside):
            continue
        stand_ins[name] = sys.modules[name] = _stand_in(name, spec, taken)
        if parent in stand_ins:
            stand_ins[parent].__dict__[child] = stand_ins[name]
    finder = _Submodules()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for stand_in in stand_ins.values():
            _leave(stand_in)


def _stand_in(name: str, spec: ModuleSpec | None, taken: Sequence[str]) -> LaterModule:
    module = LaterModule(name, spec)
    for each in taken:
        module.__dict__[each] = LaterClass(each, (), {"__module__": name, "of": module})
    for each, answer in UNTIL_IMPORTED.get(name, {}).items():
        module.__dict__[each] = _function(module, each, answer)
    return module


def _function(module: LaterModule, name: str, answer: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(_real(module), name)(*args, **kwargs) if _is_imported(module) else answer

    return call


def _is_imported(stand_in: LaterModule) -> bool:
    return not isinstance(sys.modules.get(stand_in.__name__, stand_in), LaterModule)


def _real(stand_in: LaterModule) -> ModuleType:
    """The real module, imported if it is not yet; what was set on its stand-in is set on it."""
    package = stand_in.__name__.partition(".")[0]
    for name, module in list(sys.modules.items()):
        if isinstance(module, LaterModule) and name.partition(".")[0] == package:
            _leave(module)  # a package that is half real would import stand-ins of itself
    real = importlib.import_module(stand_in.__name__)
    early = stand_in.__dict__["set_early"]
    while early:
        setattr(real, *early.popitem())
    return real


def _leave(stand_in: LaterModule) -> None:
    if sys.modules.get(stand_in.__name__) is stand_in:
        del sys.modules[stand_in.__name__]
