"""Reader and writer of the safetensors format: named tensors in a file, nothing that runs as code.

    8 bytes      N, the length of the header, little endian
    N bytes      JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, …,
                 "__metadata__": {"key": "value"}}; offsets count from the end of the header
    the rest     the tensors' bytes, little endian, row by row, without gaps

Source: the format's public description; tests/peers exchanges files with its reference library.
"""

import json
import math
import os
import tempfile
from pathlib import Path

import torch

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LONGEST_HEADER = 100_000_000


def atomically(path, write):
    """Call `write(file)` on a temporary file, then rename it to `path`: nobody sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def to_bytes(tensor):
    """A contiguous tensor's memory, without a copy where it is on the CPU."""
    return memoryview(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())


def write(path, tensors, metadata=None):
    """Write named tensors and a dictionary of strings to `path`, atomically."""
    header, begin = {"__metadata__": dict(metadata)} if metadata else {}, 0
    for name, tensor in tensors.items():
        if tensor.dtype not in NAMES:
            raise ValueError(
                f"{path}: tensor {name} has dtype {tensor.dtype}, which the format does not know"
            )
        end = begin + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]
        }  # fmt: skip
        begin = end
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors start at a multiple of 8

    def put(file):
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            if tensor.numel():
                file.write(to_bytes(tensor))

    atomically(path, put)


def unique(pairs):
    """A JSON object whose keys must not repeat."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def read_header(path, file, size):
    """The header as a dictionary and the position where the data starts.

    Raises ValueError in one line.
    """
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, LONGEST_HEADER):
        raise ValueError(
            f"{path}: not a safetensors file, or cut off: header of {length} bytes in {size}"
        )
    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=unique)
    except ValueError as error:
        raise ValueError(
            f"{path}: not a safetensors file: the header is no JSON ({error})"
        ) from None
    if not isinstance(header, dict):
        raise ValueError(f"{path}: not a safetensors file: the header is no JSON object")
    metadata = header.get("__metadata__", {})
    words = [*metadata, *metadata.values()] if isinstance(metadata, dict) else [None]
    if not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path}: __metadata__ is {metadata}; expected an object of strings")
    return header, 8 + length


def check_entry(path, name, entry, available):
    """dtype, shape, begin and end of one tensor, each checked."""
    try:
        dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
        begin, end = entry["data_offsets"]
        size = math.prod(shape) * dtype.itemsize
        sound = all(type(n) is int and n >= 0 for n in [*shape, begin, end])
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{path}: tensor {name}: expected a known dtype, a shape and two offsets"
        ) from None
    if not sound or end - begin != size:
        raise ValueError(
            f"{path}: tensor {name}: shape {shape} and offsets {[begin, end]} do not agree"
        )
    if end > available:
        raise ValueError(f"{path}: cut off: tensor {name} ends at byte {end} of {available}")
    return dtype, shape, begin, end


def read(path):
    """The named tensors and the metadata of a file. Raises ValueError if it is damaged."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a safetensors file")
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        header, start = read_header(path, file, size)
        data = memoryview(bytearray(size - start))
        file.readinto(data)
    metadata, used = header.pop("__metadata__", {}), 0
    entries = [
        (name, *check_entry(path, name, entry, size - start)) for name, entry in header.items()
    ]
    tensors = dict.fromkeys(header)
    for name, dtype, shape, begin, end in sorted(entries, key=lambda entry: entry[3:]):
        if begin != used:
            raise ValueError(f"{path}: tensor {name}: there is a gap or an overlap at byte {used}")
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=dtype) if end > begin else None
        tensors[name] = torch.empty(shape, dtype=dtype) if flat is None else flat.view(shape)
        used = end
    if used != size - start:
        raise ValueError(f"{path}: {size - start} bytes of data, of which the header names {used}")
    return tensors, metadata
