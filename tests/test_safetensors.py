"""The safetensors format: what is written is read back, and a damaged file is a clear error."""

import json

import pytest
import torch

from minift import safetensors

TENSORS = {
    "weight": torch.randn(3, 5),
    "half": torch.randn(2, 7).half(),
    "brain": torch.randn(4).bfloat16(),
    "number": torch.tensor(3.5, dtype=torch.float64),
    "empty": torch.empty(0, 4),
    "ids": torch.arange(6).view(2, 3),
    "flags": torch.tensor([True, False]),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "transposed": torch.randn(3, 4).T,
}


def test_round_trip(tmp_path):
    """Values, shapes, dtypes and metadata come back, bit for bit; a view is written as it looks."""
    safetensors.write(tmp_path / "a.safetensors", TENSORS, {"who": "me", "多": "语"})
    tensors, metadata = safetensors.read(tmp_path / "a.safetensors")
    assert metadata == {"who": "me", "多": "语"} and tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)


def test_layout_is_the_published_one(tmp_path):
    """The bytes on disk are those of the format's description, written out by hand."""
    safetensors.write(tmp_path / "a.safetensors", {"x": torch.tensor([1.0, 2.0])})
    raw = (tmp_path / "a.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert header == {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    assert raw[8 + length :] == bytes.fromhex("0000803f00000040") and length % 8 == 0


def file_with(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


F4 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (b"{", b"", "no JSON"),
        (b"[1]", b"", "no JSON object"),
        ({"x": F4}, b"123", "cut off: tensor x ends at byte 4 of 3"),
        ({"x": F4}, b"12345678", "8 bytes of data, of which the header names 4"),
        ({"x": {**F4, "dtype": "Q4"}}, b"1234", "tensor x: expected a known dtype"),
        ({"x": {**F4, "shape": [2]}}, b"1234", "do not agree"),
        ({"x": {**F4, "shape": [-1]}}, b"1234", "do not agree"),
        ({"x": {**F4, "data_offsets": [-4, 0]}}, b"1234", "do not agree"),
        (b'{"x": 1, "x": 2}', b"", "appears twice"),
        ({"x": F4, "y": F4}, b"12345678", "overlap"),
        ({"x": {**F4, "shape": [True]}}, b"1234", "do not agree"),
        ({"__metadata__": {"n": 1}}, b"", "expected an object of strings"),
        ({"__metadata__": "n"}, b"", "expected an object of strings"),
    ],
)
def test_damage_is_one_clear_line(tmp_path, header, data, message):
    """Every kind of damage names the file and what is wrong, in one line."""
    path = file_with(tmp_path / "bad.safetensors", header, data)
    with pytest.raises(ValueError, match=message) as caught:
        safetensors.read(path)
    assert "bad.safetensors" in str(caught.value) and "\n" not in str(caught.value)


def test_a_short_file_and_a_missing_one(tmp_path):
    """Too short for a header, a header longer than the file, no file: each says so."""
    (tmp_path / "short").write_bytes(b"abc")
    (tmp_path / "long").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    for name in ("short", "long"):
        with pytest.raises(ValueError, match="cut off"):
            safetensors.read(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such file"):
        safetensors.read(tmp_path / "none")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """An error while writing keeps what was there and leaves no temporary file behind."""
    path = tmp_path / "a.safetensors"
    safetensors.write(path, {"x": torch.ones(2)})

    def fail(file):
        file.write(b"half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        safetensors.atomically(path, fail)
    assert torch.equal(safetensors.read(path)[0]["x"], torch.ones(2))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_an_unknown_dtype_is_refused(tmp_path):
    """Complex numbers are not in the format."""
    with pytest.raises(ValueError, match="tensor z has dtype"):
        safetensors.write(tmp_path / "a", {"z": torch.ones(1, dtype=torch.complex64)})
