"""Contents for previews: one of each kind, broken ones, and ones that try to run or to flood."""

import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Final

import av
from PIL import Image

from examples.demo.shapes import island, pawn
from examples.demo.sound import melody
from tests.web.filled import picture

RAN: Final = "globalThis.ran = 'content'; top.ran = 'content'"
MARKUP: Final = f'<p>text</p><img src=x onerror="{RAN}"><script>{RAN}</script>'.encode()
SVG: Final = f"""<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60" onload="{RAN}">
    <script>{RAN}</script><rect width="90" height="60" fill="teal"/>
    <foreignObject width="90" height="60"><body xmlns="http://www.w3.org/1999/xhtml">
    <iframe src="javascript:{RAN}"></iframe></body></foreignObject></svg>""".encode()
PDF: Final = f"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS({RAN}; app.alert(1))>>>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj
trailer<</Root 1 0 R>>""".encode()


@dataclass(frozen=True)
class File:
    """A content, its name and its media type."""

    name: str
    content_type: str
    content: bytes


def film() -> bytes:
    """Return two seconds of a film in a format that Chromium plays without codecs of others."""
    written = io.BytesIO()
    with av.open(written, "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            image = Image.new("RGB", (64, 48), (number * 12, 90, 160))
            frame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written.getvalue()


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def huge_png(side: int) -> bytes:
    """Return a PNG of some kB that has `side` x `side` pixels."""
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(side // 8 + 1)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = [(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def bomb() -> bytes:
    """Return a zip of some kB whose member has 200 MB."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(200_000_000))
    return written.getvalue()


def lying_glb() -> bytes:
    """Return an island whose chunk of positions claims to be a thousand times as long."""
    made = island(1, 8)
    length = struct.unpack("<I", made[12:16])[0]
    described = json.loads(made[20 : 20 + length])
    described["accessors"][0]["count"] *= 1000
    described["bufferViews"][0]["byteLength"] *= 1000
    head = json.dumps(described).encode()
    head += b" " * (-len(head) % 4)
    rest = struct.pack("<I4s", len(head), b"JSON") + head + made[20 + length :]
    return struct.pack("<4sII", b"glTF", 2, 12 + len(rest)) + rest


GOOD: Final = {
    "png": File("face.png", "image/png", picture(200, 90, 40)),
    "svg": File("logo.svg", "image/svg+xml", SVG),
    "wav": File("tune.wav", "audio/wav", melody(3, 1.5)),
    "webm": File("film.webm", "video/webm", film()),
    "txt": File("notes.txt", "text/plain", b"first line\nsecond line\n"),
    "html": File("page.html", "text/html", MARKUP),
    "json": File("caption.json", "application/json", b'{"caption": {"text": "a red fox"}}'),
    "csv": File("table.csv", "text/csv", b'name,bytes\n"a, b",12\nc,7\n'),
    "pdf": File("paper.pdf", "application/pdf", PDF),
    "glb": File("island.glb", "model/gltf-binary", island(3, 24)),
    "stl": File("pawn.stl", "model/stl", pawn(16)),
    "bin": File("data.bin", "application/x-data", bytes(range(256))),
}
BROKEN: Final = {
    "png": File("broken.png", "image/png", GOOD["png"].content[:30]),
    "html as png": File("page.png", "image/png", MARKUP),
    "wav": File("broken.wav", "audio/wav", b"RIFF and nothing"),
    "webm": File("broken.webm", "video/webm", b"no film"),
    "pdf": File("broken.pdf", "application/pdf", MARKUP),
    "glb": File("broken.glb", "model/gltf-binary", b"glTF and nothing"),
    "lying glb": File("lying.glb", "model/gltf-binary", lying_glb()),
    "lying stl": File("lying.stl", "model/stl", bytes(80) + b"\xff\xff\xff\x7f" + bytes(50)),
}
ODD: Final = {
    "deep json": File("deep.json", "application/json", nested(100)),
    "deeper json": File("deeper.json", "application/json", nested(200_000)),
    "broken json": File("broken.json", "application/json", b'{"a": <script>'),
    "formulas": File("cells.csv", "text/csv", b"a,b\n=cmd|'/c calc'!A1,@SUM(1)\n+1,-1\n"),
    "huge picture": File("huge.png", "image/png", huge_png(20_000)),
    "zip bomb": File("bomb.zip", "application/zip", bomb()),
    "xml": File("page.xhtml", "application/xhtml+xml", MARKUP),
    "bidi text": File("gnp.\u202ecat.txt", "text/plain", "a\u202eb\u0000c\u200bd\n".encode()),
    "long line": File("line.txt", "text/plain", b"x" * 3_000_000),
    "empty": File("empty.txt", "text/plain", b""),
    "odd type": File("odd", "text/html;charset=utf-7", b"+ADw-script+AD4-"),
}
