"""3D models: an island as GLB with coloured vertices, and a chess pawn as STL."""

import itertools
import json
import math
import random
import struct
from collections.abc import Sequence
from typing import Final

from examples.demo.paint import colours, noise, ramp

Vector = tuple[float, float, float]
Triangle = tuple[int, int, int]

LAND: Final = colours("1d4e79 2f7fb3 e8d9a0 7fa35a 4c7a45 6b6a5e 8d8a80 ffffff")
"""Colours by height, from the sea floor to the snow."""

SEA: Final = 0.24
"""The height of the sea."""

PAWN: Final = (
    (0.0, 0.0), (0.62, 0.0), (0.64, 0.1), (0.6, 0.2), (0.47, 0.27), (0.46, 0.34), (0.34, 0.44),
    (0.24, 0.66), (0.2, 0.92), (0.22, 1.02), (0.36, 1.06), (0.37, 1.11), (0.22, 1.15),
    (0.3, 1.24), (0.35, 1.36), (0.34, 1.48), (0.27, 1.6), (0.15, 1.67), (0.0, 1.69),
)  # fmt: skip
"""The outline of a pawn: radius and height."""


def island(seed: int, steps: int = 96) -> bytes:
    """Return an island as binary glTF 2.0, with normals and colours."""
    heights = _heights(seed, steps)
    points = [
        (2 * x / steps - 1, 0.62 * heights[y][x], 2 * y / steps - 1)
        for y in range(steps + 1)
        for x in range(steps + 1)
    ]
    tints = [
        ramp(LAND, heights[y][x]) if heights[y][x] > SEA else LAND[1]
        for y in range(steps + 1)
        for x in range(steps + 1)
    ]
    return _glb(points, _grid(steps), tints)


def _heights(seed: int, steps: int) -> list[list[float]]:
    """Return heights from 0 to 1; the sea is flat."""
    side = steps + 1
    shades = noise(random.Random(seed), (side, side), 4, 5).tobytes()
    rows = []
    for y in range(side):
        row: list[float] = []
        for x in range(side):
            off = math.hypot(2 * x / steps - 1, 2 * y / steps - 1)
            high = (shades[y * side + x] / 255 * 0.8 + 0.45) * (1 - off**1.6 * 0.9)
            row.append(max(SEA, min(1.0, high)))
        rows.append(row)
    return rows


def _grid(steps: int) -> list[Triangle]:
    side = steps + 1
    corners = [y * side + x for y in range(steps) for x in range(steps)]
    return [
        triangle
        for a in corners
        for triangle in ((a, a + side, a + 1), (a + 1, a + side, a + side + 1))
    ]


def _glb(
    points: Sequence[Vector], triangles: Sequence[Triangle], tints: Sequence[Triangle]
) -> bytes:
    """Encode a mesh as glTF 2.0 in one binary file (sections 3.6 and 4.4)."""
    normals = _normals(points, triangles)
    parts = [
        b"".join(struct.pack("<3f", *each) for each in points),
        b"".join(struct.pack("<3f", *each) for each in normals),
        b"".join(struct.pack("<3f", *(_linear(part) for part in each)) for each in tints),
        b"".join(struct.pack("<3I", *each) for each in triangles),
    ]
    low, high = ([pick(each) for each in zip(*points, strict=True)] for pick in (min, max))
    counts = [len(points)] * 3 + [3 * len(triangles)]
    head = json.dumps(_described(parts, counts, low, high)).encode()
    head += b" " * (-len(head) % 4)
    body = b"".join(parts)
    chunks = struct.pack("<I4s", len(head), b"JSON") + head
    chunks += struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _described(
    parts: Sequence[bytes], counts: Sequence[int], low: Sequence[float], high: Sequence[float]
) -> dict[str, object]:
    starts = [sum(map(len, parts[:n])) for n in range(len(parts))]
    float32, uint32 = 5126, 5125
    accessors: list[dict[str, object]] = [
        {"bufferView": n, "componentType": float32, "count": counts[n], "type": "VEC3"}
        for n in range(3)
    ]
    accessors[0] |= {"min": low, "max": high}
    accessors.append(
        {"bufferView": 3, "componentType": uint32, "count": counts[3], "type": "SCALAR"}
    )
    attributes = {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}
    material = {"pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 0.9}}
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "island"}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
        "materials": [material],
        "accessors": accessors,
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": len(part)}
            for start, part in zip(starts, parts, strict=True)
        ],
        "buffers": [{"byteLength": sum(map(len, parts))}],
    }


def _linear(part: int) -> float:
    return float((part / 255) ** 2.2)


def _normals(points: Sequence[Vector], triangles: Sequence[Triangle]) -> list[Vector]:
    sums = [[0.0, 0.0, 0.0] for _ in points]
    for triangle in triangles:
        face = _across(*(points[corner] for corner in triangle))
        for corner in triangle:
            for axis in range(3):
                sums[corner][axis] += face[axis]
    return [_unit((x, y, z)) for x, y, z in sums]


def _across(a: Vector, b: Vector, c: Vector) -> Vector:
    """Return the cross product of two sides of a triangle."""
    u, v = ([q - p for p, q in zip(a, other, strict=True)] for other in (b, c))
    return u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]


def _unit(vector: Vector) -> Vector:
    length = math.hypot(*vector) or 1.0
    x, y, z = vector
    return x / length, y / length, z / length


def pawn(sides: int = 48) -> bytes:
    """Return a chess pawn as binary STL: its outline, turned around its axis."""
    rings = [
        [
            (r * math.cos(math.tau * n / sides), r * math.sin(math.tau * n / sides), z)
            for n in range(sides + 1)
        ]
        for r, z in PAWN
    ]
    faces = [
        face
        for below, above in itertools.pairwise(rings)
        for n in range(sides)
        for face in (
            (below[n], below[n + 1], above[n + 1]),
            (below[n], above[n + 1], above[n]),
        )
    ]
    body = b"".join(_facet(*face) for face in faces)
    return b"chess pawn".ljust(80, b"\0") + struct.pack("<I", len(faces)) + body


def _facet(a: Vector, b: Vector, c: Vector) -> bytes:
    return struct.pack("<12fH", *_unit(_across(a, b, c)), *a, *b, *c, 0)
