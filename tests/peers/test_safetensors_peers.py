"""Our safetensors files read with the reference library, and theirs with ours; broken ones fail."""

import json

import pytest
import safetensors
import safetensors.torch
import torch

from minift import safetensors as ours
from minift.models import gpt, pretrained
from minift.peft import delta, lora

METADATA = {"format": "pt", "words": 'Größe 微调 \n "quoted"'}


def one_of_each(shape, seed=0):
    """A tensor of every dtype that our format knows, with values that use its sign and range."""
    numbers = 100 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    tensors = {name: numbers.abs() if name == "U8" else numbers for name in ours.DTYPES}
    return {name: tensor.to(ours.DTYPES[name]) for name, tensor in tensors.items()}


def check_same(got, want):
    """The same names, dtypes, shapes and bits."""
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        assert (got[name].dtype, got[name].shape) == (tensor.dtype, tensor.shape), name
        assert torch.equal(got[name], tensor), name


def reads_ours(path):
    tensors, metadata = ours.read(path)
    return tensors, metadata


def reads_theirs(path):
    with safetensors.safe_open(path, "pt") as file:
        return safetensors.torch.load_file(path), file.metadata() or {}


WRITE = {"ours": ours.write, "theirs": lambda p, t, m=None: safetensors.torch.save_file(t, p, m)}
READ = {"ours": reads_ours, "theirs": reads_theirs}
both_ways = pytest.mark.parametrize("writer, reader", [("ours", "theirs"), ("theirs", "ours")])


@both_ways
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (7,), (3, 5, 7)])
def test_all_dtypes_and_shapes(tmp_path, writer, reader, shape):
    """Every dtype, 0-d, empty and odd-sized tensors in one file, to the bit."""
    tensors = one_of_each(shape)
    WRITE[writer](tmp_path / "x.safetensors", tensors)
    check_same(READ[reader](tmp_path / "x.safetensors")[0], tensors)


@both_ways
def test_metadata_and_names(tmp_path, writer, reader):
    """Strings beside the tensors, and names that are no identifiers."""
    tensors = {"a.b/c": torch.arange(3), "权重": torch.ones(2, 2), "": torch.zeros(1)}
    WRITE[writer](tmp_path / "x.safetensors", tensors, METADATA)
    got, metadata = READ[reader](tmp_path / "x.safetensors")
    check_same(got, tensors)
    assert metadata == METADATA


@both_ways
def test_no_tensor_at_all(tmp_path, writer, reader):
    """A file of metadata alone is a file."""
    """A file without tensors keeps its metadata."""
    WRITE[writer](tmp_path / "x.safetensors", {}, METADATA)
    assert READ[reader](tmp_path / "x.safetensors") == ({}, METADATA)


def test_views_and_special_numbers(tmp_path):
    """Transposed, strided and expanded tensors are written as what they show; NaN and −0 stay."""
    table = torch.arange(35.0).view(5, 7)
    odd = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    tensors = {"t": table.T, "strided": table[1::2, ::3], "expanded": table[0].expand(3, 7)}
    ours.write(tmp_path / "x.safetensors", tensors | {"odd": odd})
    got = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert torch.equal(got.pop("odd").view(torch.int32), odd.view(torch.int32))
    check_same(got, tensors)


def test_base_and_delta_files(tmp_path):
    """A base model and a LoRA delta written by minift are plain safetensors files."""
    model = gpt.GPT(gpt.GPTConfig(61, 16, 12, 2, 3))
    base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    pretrained.save(model, tmp_path / "base.safetensors")
    check_same(safetensors.torch.load_file(tmp_path / "base.safetensors"), base)
    path = delta.save(lora.add_lora(model, rank=2), tmp_path / "task")
    got, metadata = reads_theirs(path)
    assert {tuple(t.shape) for t in got.values()} == {(2, 12), (12, 2)}
    assert metadata["method"] == "lora"


def raw(header, data=b"", length=None):
    """The bytes of a file with this header (a dictionary or text) and data."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD = raw({"x": entry([2, 3], 0, 24)}, bytes(24))
BROKEN = {
    "empty file": b"",
    "seven bytes": GOOD[:7],
    "cut inside the header": GOOD[:20],
    "cut inside the data": GOOD[:-1],
    "a byte too many": GOOD + b"\0",
    "header longer than the file": raw("{}", length=2**20),
    "header of 2^63 bytes": raw("{}", length=2**63),
    "header is no JSON": raw("{x: 1}"),
    "header is no object": raw("[1, 2]"),
    "header is not UTF-8": (2).to_bytes(8, "little") + b"\xff\xfe",
    "unknown dtype": raw({"x": entry([2], 0, 8, "F31")}, bytes(8)),
    "no shape": raw({"x": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)),
    "shape is text": raw({"x": entry("2", 0, 8)}, bytes(8)),
    "shape of fractions": raw({"x": entry([2.0], 0, 8)}, bytes(8)),
    "negative shape": raw({"x": entry([-1, -2], 0, 8)}, bytes(8)),
    "shape of truth values": raw({"x": entry([True, 2], 0, 8)}, bytes(8)),
    "shape and offsets disagree": raw({"x": entry([3], 0, 8)}, bytes(8)),
    "end before begin": raw({"x": entry([2], 8, 0)}, bytes(8)),
    "negative offset": raw({"x": entry([2], -8, 0)}, bytes(8)),
    "three offsets": raw({"x": entry([2], 0, 8) | {"data_offsets": [0, 4, 8]}}, bytes(8)),
    "shape too large to count": raw({"x": entry([2**33, 2**33], 0, 8)}, bytes(8)),
    "overlap": raw({"x": entry([2], 0, 8), "y": entry([2], 4, 12)}, bytes(12)),
    "the same bytes twice": raw({"x": entry([2], 0, 8), "y": entry([2], 0, 8)}, bytes(16)),
    "a gap": raw({"x": entry([2], 0, 8), "y": entry([2], 12, 20)}, bytes(20)),
    "data before the first tensor": raw({"x": entry([2], 4, 12)}, bytes(12)),
    "a number as metadata": raw({"__metadata__": {"step": 3}, "x": entry([2], 0, 8)}, bytes(8)),
    "metadata is no object": raw({"__metadata__": "x", "y": entry([2], 0, 8)}, bytes(8)),
    "a pickle": b"\x80\x02}q\x00." + bytes(64),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused_by_both(tmp_path, case):
    """What the reference refuses, we refuse, in one line that names the file."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(BROKEN[case])
    with pytest.raises(safetensors.SafetensorError):
        safetensors.torch.load_file(path)
    with pytest.raises(ValueError, match="x.safetensors") as caught:
        ours.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("repeated", ["whole", "field"])
def test_a_name_twice_is_refused_by_us(tmp_path, repeated):
    """A repeated key is refused here; the reference keeps the last tensor of a name."""
    whole = '{"x": %s, "x": %s}' % ((json.dumps(entry([2], 0, 8)),) * 2)
    field = '{"x": {"dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    (tmp_path / "x").write_bytes(raw({"whole": whole, "field": field}[repeated], bytes(8)))
    with pytest.raises(ValueError, match="twice"):
        ours.read(tmp_path / "x")


def test_a_dtype_we_do_not_know_is_named(tmp_path):
    """Files with unsigned 32-bit numbers are theirs alone: a clear refusal, no wrong tensor."""
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"x": torch.ones(3).to(torch.uint32)}, path)
    with pytest.raises(ValueError, match="dtype"):
        ours.read(path)


def outcome(read, path):
    """The tensors, or None where the file is refused by an error meant for the user."""
    try:
        return read(path)[0]
    except (ValueError, safetensors.SafetensorError):
        return None


def test_no_flipped_byte_gives_another_model(tmp_path):
    """Each byte of a file's header damaged three ways: whatever they refuse, so do we."""
    path = tmp_path / "x.safetensors"
    ours.write(path, {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(5).half()}, {"k": "v"})
    good = path.read_bytes()
    for place in range(8 + int.from_bytes(good[:8], "little")):
        for change in (0x01, 0x10, 0x80):
            damaged = bytearray(good)
            damaged[place] ^= change
            path.write_bytes(damaged)
            want, got = outcome(reads_theirs, path), outcome(reads_ours, path)
            if got is not None:
                assert want is not None, f"byte {place} ^ {change}: they refuse it, we do not"
                check_same(got, want)
