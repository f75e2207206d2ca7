"""How much memory a computation takes, found by watching a small one."""

import weakref

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Memory(TorchDispatchMode):
    """Within a with block: ``live``, the bytes of the tensors made there that still are, and ``peak``, their most."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self.storages = weakref.WeakSet()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self.storages:
                self.storages.add(storage)
                weakref.finalize(storage, self.release, storage.nbytes())
                self.live += storage.nbytes()
                self.peak = max(self.peak, self.live)
        return made

    def release(self, size):
        self.live -= size
