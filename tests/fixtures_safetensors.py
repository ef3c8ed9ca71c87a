"""Files of PyTorch's for test_nn_save.c, and PyTorch's opinion of ours.

    fixtures_safetensors.py             writes tests/data/*.safetensors anew
    fixtures_safetensors.py --check DIR loads DIR/<network>.safetensors, which Tapegrad saved, into the same network
                                        here, and compares its outputs for "x" of DIR/<network>_case.safetensors with
                                        "y" there; 77 where torch or safetensors are missing

The networks are those of the table in test_nn_save.c.
"""
import pathlib
import sys

try:
    import numpy
    import torch
    from safetensors.numpy import save_file as save_numpy
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(missing)
    sys.exit(77)

nn = torch.nn
DATA = pathlib.Path(__file__).resolve().parent / "data"

NETWORKS = {
    "torch_mlp": lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)),
    "torch_conv": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=(0, 1), groups=2), nn.BatchNorm2d(6),
        nn.AvgPool2d(2, stride=1), nn.Flatten(), nn.Linear(12, 3)),
    "torch_words": lambda: nn.Sequential(
        nn.Embedding(7, 4), nn.LayerNorm(4), nn.GELU(), nn.Flatten(), nn.Linear(12, 2)),
}
INPUTS = {
    "torch_mlp": lambda: torch.randn(6, 4),
    "torch_conv": lambda: torch.randn(3, 2, 8, 9),
    "torch_words": lambda: torch.randint(0, 7, (5, 3)),
}


def disturb(network):
    """Norms and their statistics begin as zeros and ones, which would hide mistakes."""
    for name, tensor in network.state_dict().items():
        if "running" in name or tensor.dim() == 1:
            tensor.copy_(torch.rand_like(tensor) + .5)
        if "num_batches" in name:
            tensor.fill_(17)


def write_networks():
    for name, make in NETWORKS.items():
        network = make().eval()
        disturb(network)
        x = INPUTS[name]()
        case = {"x": x.int() if x.dtype == torch.int64 else x, "y": network(x).detach()}
        save_file(network.state_dict(), DATA / f"{name}.safetensors")
        if name == "torch_mlp":
            for suffix, dtype in ("f16", torch.float16), ("bf16", torch.bfloat16):
                small = {k: v.to(dtype) if v.is_floating_point() else v for k, v in network.state_dict().items()}
                save_file(small, DATA / f"{name}_{suffix}.safetensors")
                other = make().eval()
                other.load_state_dict(small)
                case["y_" + suffix] = other(x).detach()
        save_file(case, DATA / f"{name}_case.safetensors")


def write_types():
    """Each type of element beside what it should be read as."""
    halves = torch.tensor([0., -0., 1., -2.5, 65504., 6.1e-5, 6e-8, -3e-7, float("inf"), -float("inf"), float("nan")])
    whole = torch.tensor([0, 1, -1, 127, -128])
    tensors = {
        "f64": torch.tensor([1 / 3, -1e300]), "f64.want": torch.tensor([1 / 3, -1e300], dtype=torch.float64),
        "f16": halves.half(), "f16.want": halves.half().float(),
        "bf16": (halves * 1e30).bfloat16(), "bf16.want": (halves * 1e30).bfloat16().float(),
        "i64": torch.tensor([2**31 - 1, -2**31, 0]), "i64.want": torch.tensor([2**31 - 1, -2**31, 0]).int(),
        "i16": torch.tensor([32767, -32768, 5], dtype=torch.int16), "i16.want": torch.tensor([32767, -32768, 5]).int(),
        "i8": whole.to(torch.int8), "i8.want": whole.int(),
        "u8": torch.tensor([0, 128, 255], dtype=torch.uint8), "u8.want": torch.tensor([0, 128, 255]).int(),
        "bool": torch.tensor([[True], [False]]), "bool.want": torch.tensor([[1], [0]]).int(),
        "scalar": torch.tensor(-1.5, dtype=torch.float16), "scalar.want": torch.tensor(-1.5),
        "empty": torch.zeros(3, 0, dtype=torch.uint8), "empty.want": torch.zeros(3, 0, dtype=torch.int32),
    }
    tensors["f64"] = tensors["f64.want"].clone()
    save_file(tensors, DATA / "types.safetensors")


def write_bytes():
    """What test_nn_save.c has to write, byte for byte."""
    tensors = {
        "b.weight": numpy.arange(6, dtype=numpy.float32).reshape(2, 3) / 4,
        "a \"quoted\"\\\n\t\x01/\u00e9\U0001f600": numpy.array([-1, 2**31 - 1], dtype=numpy.int32),
        "b": numpy.array(1 / 3),
        "B": numpy.zeros((0, 2), dtype=numpy.float32),
        "z": numpy.array([[1e300, -0.]]),
    }
    save_numpy(tensors, DATA / "bytes.safetensors", metadata={"made \"by\"": "the package"})


def check(folder):
    worst = 0.
    for name, make in NETWORKS.items():
        network = make().eval()
        state = load_file(folder / f"{name}.safetensors")
        case = load_file(folder / f"{name}_case.safetensors")
        dtype = next(iter(state.values())).dtype
        network.to(dtype).load_state_dict(state)
        x = case["x"].long() if case["x"].dtype == torch.int32 else case["x"].to(dtype)
        difference = (network(x) - case["y"]).abs().max().item()
        print(f"{name}: {dtype}, differs by {difference:.2e}")
        worst = max(worst, difference)
    return 0 if worst < 1e-5 else 1


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        sys.exit(check(pathlib.Path(sys.argv[2])))
    torch.manual_seed(20)
    write_networks()
    write_types()
    write_bytes()
